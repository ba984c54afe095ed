package process

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"time"
)

// hostTime bounds how long the program may take to probe the host.
const hostTime = 10 * time.Second

// AskHost runs program with --host and gives the JSON object that it prints.
func AskHost(program string) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(context.Background(), hostTime)
	defer cancel()
	c := exec.CommandContext(ctx, program, "--host")
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s --host: %w", program, err)
	}
	if out = bytes.TrimSpace(out); !json.Valid(out) || !bytes.HasPrefix(out, []byte("{")) {
		return nil, fmt.Errorf("%s --host printed no JSON object", program)
	}
	return out, nil
}
