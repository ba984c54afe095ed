package control

import "gozen/hypervisor/config"

// Bounds of what crosses the socket.
const (
	maxBody      = 256 << 10 // a request's JSON body
	maxValue     = 64 << 10  // a xenstore value; xenstored's own limit is 4096
	maxPath      = 3072      // XENSTORE_ABS_PATH_MAX
	maxPerms     = 64
	consoleProto = "gozen-console"
)

// Ended is the answer to wait: how far the domain has gone.
type Ended struct {
	Reason Reason `json:"reason"`
	// Action is what was done about it (destroy, restart, ...), empty while the domain's own process has not decided.
	Action string `json:"action,omitempty"`
	// Successor is the domid of the domain that was made in its place, 0 if there is none.
	Successor int `json:"successor,omitempty"`
	// Note says why the action differs from the configured one, if it does.
	Note string `json:"note,omitempty"`
}

// shutdownRequest is the body of POST /v1/shutdown.
type shutdownRequest struct {
	Word string `json:"word"` // poweroff, reboot, halt, suspend
}

type renameRequest struct {
	Name string `json:"name"`
}

// storeRequest is the body of POST /v1/xenstore.
type storeRequest struct {
	Op    string   `json:"op"` // read, write, list, rm, perms, chmod
	Path  string   `json:"path"`
	Value []byte   `json:"value,omitempty"` // base64 in JSON: values are bytes
	Perms []string `json:"perms,omitempty"`
}

type storeReply struct {
	Value    []byte   `json:"value,omitempty"`
	Children []string `json:"children,omitempty"`
	Perms    []string `json:"perms,omitempty"`
}

// watchEvent is one line of GET /v1/xenstore/watch.
type watchEvent struct {
	Path string `json:"path"`
}

// errorReply is the body of every answer with a status from 400 on.
type errorReply struct {
	Error string `json:"error"`
	Code  string `json:"code,omitempty"`
	// Detail is the refusal in parts, where there is one.
	Detail *config.Error `json:"detail,omitempty"`
}
