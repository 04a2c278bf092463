// Command loadgen puts load on a registry on this machine and prints one line of JSON that says what came of it.
// It uses nothing but Go's standard library. Certificates are not checked: it measures servers that were started
// a moment ago beside it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"
)

const usage = `usage: loadgen COMMAND [OPTION ...] [ARGUMENT ...]

  requests  -m METHOD -c CONNECTIONS -d DURATION [-n COUNT] [-reconnect] URL   one request again and again
  pull      -c STREAMS -n TIMES [-together] URL ...                 whole blobs
  sink      -c STREAMS -n TIMES -size BYTES URL ...                 whole answers, thrown away unread by the kernel
  fanout    -base URL -repo NAME -tag TAG -n NODES -c AT_ONCE       nodes that pull an image
  push      -base URL -repo NAME -c STREAMS -mode put|patch BLOB ...
  seed      -base URL -what tags|repositories|referrers|image -repo NAME -n COUNT -c STREAMS [BLOB ...]
  load      -base URL -repo NAME -tag TAG -pulls N -pushes N -d DURATION BLOB ...

A BLOB is FILE,DIGEST,SIZE.`

type options struct {
	base, repo, tag    string
	method, mode       string
	what               string
	concurrency, n     int
	pulls, pushes      int
	size               int64
	duration           time.Duration
	reconnect, barrier bool
	args               []string
}

var commands = map[string]func(options) (map[string]any, error){
	"requests": requests,
	"pull":     pull,
	"sink":     sink,
	"fanout":   fanout,
	"push":     push,
	"seed":     seed,
	"load":     load,
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	outcome, err := commands[os.Args[1]](parse(os.Args[2:]))
	if err != nil {
		fmt.Fprintln(os.Stderr, "loadgen:", err)
		os.Exit(1)
	}
	line, err := json.Marshal(outcome)
	if err != nil {
		fmt.Fprintln(os.Stderr, "loadgen:", err)
		os.Exit(1)
	}
	fmt.Println(string(line))
}

func parse(args []string) options {
	var o options
	flags := flag.NewFlagSet("loadgen", flag.ExitOnError)
	flags.StringVar(&o.base, "base", "", "URL of the registry")
	flags.StringVar(&o.repo, "repo", "", "repository")
	flags.StringVar(&o.tag, "tag", "latest", "tag")
	flags.StringVar(&o.method, "m", "GET", "method")
	flags.StringVar(&o.mode, "mode", "put", "how a blob is pushed")
	flags.StringVar(&o.what, "what", "", "what is pushed as a seed")
	flags.IntVar(&o.concurrency, "c", 1, "connections or streams at once")
	flags.IntVar(&o.n, "n", 1, "how many")
	flags.IntVar(&o.pulls, "pulls", 0, "clients that pull")
	flags.IntVar(&o.pushes, "pushes", 0, "clients that push")
	flags.Int64Var(&o.size, "size", 0, "least bytes of an answer")
	flags.DurationVar(&o.duration, "d", time.Second, "how long")
	flags.BoolVar(&o.reconnect, "reconnect", false, "a new connection for every request")
	flags.BoolVar(&o.barrier, "together", false, "read on only when every stream is open")
	_ = flags.Parse(args)
	o.args = flags.Args()
	return o
}
