/* What takes long to free (a version of the state that has been kept for minutes holds all that has changed since) is
 * freed beside the loop: by one thread at a time, however much is let go at once, in the order in which it came.
 *
 * So that what waits is bounded, what comes when DISCARDS_MAX wait already is freed by who brings it. Loop thread
 * only. */
#ifndef MASTER_DISCARDS_H
#define MASTER_DISCARDS_H

#define DISCARDS_MAX 64u

struct discards_config {
    /* Runs work(arg) on another thread, then done(arg) on the loop. */
    void (*run_async)(void *data, void (*work)(void *arg), void (*done)(void *arg), void *arg);
    void *data;
    void (*drop)(void *what); /* any thread */
};

struct discards;
struct discards *discards_new(const struct discards_config *c); /* copied */
void discards_free(struct discards *d);                         /* nothing waits: the loop has ended; may be NULL */
void discards_give(struct discards *d, void *what);             /* ours now */

#endif
