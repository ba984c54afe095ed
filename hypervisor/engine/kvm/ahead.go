package kvm

import "golang.org/x/sys/unix"

// Ahead begins to make the VM of the next New. The host takes its time over one, most of it asleep: Linux waits twice until all its processors have
// passed a quiet point, some 10 ms. Other work can be done meanwhile. It is for one goroutine, as New and Close are.
func (s *System) Ahead() {
	if s.ahead != nil {
		return
	}
	s.ahead = make(chan madeVM, 1)
	go func() {
		fd, err := ioctl(s.fd, kvmCreateVM, s.vmType())
		s.ahead <- madeVM{fd, err}
	}()
}

// madeVM is the descriptor of a VM, or why there is none.
type madeVM struct {
	fd  int
	err error
}

// makeVM gives the VM that was begun, or makes one.
func (s *System) makeVM() (int, error) {
	s.Ahead()
	vm := <-s.ahead
	s.ahead = nil
	return vm.fd, vm.err
}

// forget gives back a VM that nobody took.
func (s *System) forget() {
	if s.ahead == nil {
		return
	}
	if vm := <-s.ahead; vm.err == nil {
		_ = unix.Close(vm.fd)
	}
	s.ahead = nil
}
