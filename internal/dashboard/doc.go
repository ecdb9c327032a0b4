// Package dashboard is the queue as pages in a browser: it looks through the reader of the store, and acts through the queue. Its pages come whole from the server and can be read without JavaScript;
// with it they keep themselves up to date.
package dashboard
