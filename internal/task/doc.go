// Package task is the vocabulary of the queue: what a task is, which changes of status it knows, who may claim it and in which
// order, when it is retried, and the errors all of that can end in. It imports the standard library alone, so that every other
// package can speak its words.
//
// One value, Task, travels the whole way: a row of task_queue is a Task, and a Task is what the API answers.
package task
