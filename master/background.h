/* Work that is long, seldom and never urgent: snapshots, versions of the state that nobody needs any more. Each piece has
 * a thread of its own, which steps back behind the loop where both want the same core. */
#ifndef MASTER_BACKGROUND_H
#define MASTER_BACKGROUND_H

/* work(arg) on a thread, then done(arg) on the loop (uv_loop_t), which lives until then. Where there is no thread to be
 * had the work is done here and now. */
void background_run(void *loop, void (*work)(void *arg), void (*done)(void *arg), void *arg);
/* The calling thread gives way to the loop from now on. */
void background_step_back(void);

#endif
