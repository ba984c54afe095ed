// Package process is the life of a domain process: it reads a Request from its standard input, makes the run folder,
// builds the machine, serves it, and carries out on_poweroff and its kind, until no domain is left.
//
// Path: Main -> host.start (run folder, log, build, serve) -> host.follow (wait for the end, decide, restart or clean
// up). Launch is the other end of the pipe, used by xl and perfctl. What builds the machine is a function
// argument, so that tests run the same process with a fake machine.
package process
