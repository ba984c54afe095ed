package main

import (
	"fmt"
	"sort"
	"strings"

	"gozen/xl/cfg"
)

// completion prints a script for a shell. The scripts ask "xl completion words KIND" for what changes: commands, domains, keys,
// options COMMAND.
func (a *app) completion(c *call) int {
	args := c.args
	if len(args) > 0 && args[0] == "words" {
		return a.words(args[1:])
	}
	args, rc := a.parse(c, options{need: 1}, nil)
	if rc != noReturn {
		return rc
	}
	script, ok := map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}[args[0]]
	if !ok {
		a.say("xl: there is no completion for %q: bash, zsh and fish are known", args[0])
		return exitUsage
	}
	fmt.Fprint(a.out, script)
	return exitOK
}

func (a *app) words(args []string) int {
	var out []string
	kind := ""
	if len(args) > 0 {
		kind = args[0]
	}
	switch kind {
	case "commands":
		for _, c := range commands() {
			if c.run != nil {
				out = append(out, c.name)
			}
		}
		out = append(out, "help")
	case "domains":
		doms, ok := a.domains()
		if !ok {
			return exitFail
		}
		for _, d := range doms {
			out = append(out, d.Name)
		}
	case "keys":
		for _, k := range cfg.Keys() {
			out = append(out, k+"=")
		}
	case "options":
		if len(args) > 1 {
			out = optionWords(lookup(args[1]))
		}
	}
	sort.Strings(out)
	for _, w := range out {
		fmt.Fprintln(a.out, w)
	}
	return exitOK
}

// optionWords takes the options out of a command's help.
func optionWords(c *command) []string {
	if c == nil {
		return nil
	}
	var out []string
	for _, line := range strings.Split(c.options, "\n") {
		if !strings.HasPrefix(line, "-") {
			continue
		}
		head, _, _ := strings.Cut(line, "  ")
		for _, w := range strings.FieldsFunc(head, func(r rune) bool { return r == ',' || r == ' ' }) {
			if strings.HasPrefix(w, "-") {
				w, _, _ = strings.Cut(w, "=")
				out = append(out, w)
			}
		}
	}
	return out
}

const bashScript = `# bash completion for xl (gozen): source it, or put it into /usr/share/bash-completion/completions/xl
_gozen_xl() {
	local cur=${COMP_WORDS[COMP_CWORD]} cmd= i xl=${COMP_WORDS[0]}
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in -*) ;; *) cmd=${COMP_WORDS[i]}; break ;; esac
	done
	COMPREPLY=()
	local IFS=$'\n'
	if [ -z "$cmd" ]; then
		COMPREPLY=($(compgen -W "$("$xl" completion words commands 2>/dev/null)" -- "$cur"))
		return
	fi
	case $cur in
	-*)
		COMPREPLY=($(compgen -W "$("$xl" completion words options "$cmd" 2>/dev/null)" -- "$cur"))
		return ;;
	esac
	case $cmd in
	create) COMPREPLY=($(compgen -f -- "$cur") $(compgen -W "$("$xl" completion words keys 2>/dev/null)" -- "$cur")) ;;
	config) COMPREPLY=($(compgen -W check -- "$cur") $(compgen -f -- "$cur")) ;;
	xenstore) COMPREPLY=($(compgen -W $'ls\nread\nwrite\nrm\nwatch\nexists\nlist\nchmod' -- "$cur")) ;;
	completion) COMPREPLY=($(compgen -W $'bash\nzsh\nfish' -- "$cur")) ;;
	help) COMPREPLY=($(compgen -W "$("$xl" completion words commands 2>/dev/null)" -- "$cur")) ;;
	*) COMPREPLY=($(compgen -W "$("$xl" completion words domains 2>/dev/null)" -- "$cur")) ;;
	esac
}
complete -F _gozen_xl xl
`

const zshScript = `#compdef xl
# zsh completion for xl (gozen): put it into a folder of $fpath as _xl
_xl() {
	local cmd=${words[2]}
	if (( CURRENT == 2 )); then
		compadd -- ${(f)"$(${words[1]} completion words commands 2>/dev/null)"}
	elif [[ ${words[CURRENT]} == -* ]]; then
		compadd -- ${(f)"$(${words[1]} completion words options $cmd 2>/dev/null)"}
	else
		case $cmd in
		create|config) _files ;;
		help) compadd -- ${(f)"$(${words[1]} completion words commands 2>/dev/null)"} ;;
		*) compadd -- ${(f)"$(${words[1]} completion words domains 2>/dev/null)"} ;;
		esac
	fi
}
compdef _xl xl
`

const fishScript = `# fish completion for xl (gozen): put it into ~/.config/fish/completions/xl.fish
complete -c xl -n __fish_use_subcommand -f -a '(xl completion words commands 2>/dev/null)'
complete -c xl -n 'not __fish_use_subcommand; and not __fish_seen_subcommand_from create config help' -f -a '(xl completion words domains 2>/dev/null)'
complete -c xl -n '__fish_seen_subcommand_from create config' -F
complete -c xl -n '__fish_seen_subcommand_from help' -f -a '(xl completion words commands 2>/dev/null)'
`
