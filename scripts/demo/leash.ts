/**
 * Loaded into every agent of the demo, the wrapped commands included: when the demo is gone, in whatever way, the agent
 * goes too, as if it had been asked to stop. The channel to the demo closes by itself even after a SIGKILL.
 */
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
// Waiting for that must not keep the process alive.
process.channel?.unref();
