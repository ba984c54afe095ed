// Package cfg reads xl.cfg files: the grammar of xl's own parser, every key it knows, and errors that say where.
//
// Parse turns text into settings (file.go, lex.go); Merge puts command-line settings behind those of a file; Domain
// (domain.go) turns settings into a config.Domain by the table in keys.go. Nothing here opens a file.
package cfg
