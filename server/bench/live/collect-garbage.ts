// Loaded with --import beside --expose-gc: the one who measures can have garbage collected, in Maru as in its peers.
// The last resort gives free pages back. Without, what the start has left in the heap (Maru: 140 MB) would be room that
// the first sockets take for nothing.
process.on('SIGUSR2', () => gc!({ type: 'major', execution: 'sync', flavor: 'last-resort' }))
