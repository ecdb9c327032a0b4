package queue

// RegisterEvery is how often a worker that claims again and again renews its entry.
const RegisterEvery = registerEvery
