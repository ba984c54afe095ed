package backend

import (
	"fmt"
	"strconv"
)

// Front reads a node of the front end's folder; false: there is none.
type Front func(key string) (string, bool)

// Number reads a number between two others, or otherwise, where there is no such node.
func (f Front) Number(key string, least, most uint64, otherwise string) (uint64, error) {
	v, ok := f(key)
	if !ok {
		v = otherwise
	}
	n, err := strconv.ParseUint(v, 10, 32)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("the frontend's %s is %q", key, v)
	}
	return n, nil
}

// Has says that a feature's node is 1.
func (f Front) Has(feature string) bool {
	v, _ := f(feature)
	return v == "1"
}

// Queue gives what the nodes of a queue's names begin with, where there are so many queues.
func Queue(i, queues uint64) string {
	if queues == 1 {
		return ""
	}
	return fmt.Sprintf("queue-%d/", i)
}
