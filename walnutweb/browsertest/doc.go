// Package browsertest tests the page of walnutweb in headless Chromium. It is a
// module of its own, so that what drives the browser stays out of the main one.
//
// Its screenshots lie in build/screenshots, at the root of the
// repository. Without Chromium the tests skip; but in CI they fail.
package browsertest
