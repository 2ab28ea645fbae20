// Package identity tells who may use the web console.
//
// People have an account in one tenant, with one role. They sign in with a name
// and a password, or through the organization's own sign-on service. What they
// get is a session: a random token in a cookie, under whose hash the database
// keeps sealed data. Middleware finds the session of a request and the person
// behind it anew each time, so that a person who was removed, or has another
// role now, is treated so at the next click; it also refuses requests that came
// from another site, and plain http from anywhere but the machine itself. The
// pages ask Person, and guard their routes with Require.
//
// The first administrator of a tenant comes in with a setup token that the
// command line made. Passwords are kept as argon2id hashes; nothing that a
// reader of the database finds there opens a session.
package identity
