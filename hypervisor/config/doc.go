// Package config is the typed, validated configuration of one domain: plain data that travels as JSON
// from xl to the domain process and back.
//
// A Domain is filled by xl/cfg (from an xl.cfg file) or by hand, Complete fills the defaults that Xen's toolstack
// would, Validate refuses what cannot work. Every refusal is an *Error, which names the field and says
// why and what to do. Nothing here opens a file or knows an engine.
package config
