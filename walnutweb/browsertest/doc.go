// Package browsertest tests the page of walnutweb in headless Chromium. It is a
// module of its own, so that what drives the browser stays out of the main one.
//
// The screenshots that it takes lie in build/screenshots, at the root of the
// repository.
package browsertest
