#include "master/discards.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct discards {
    struct discards_config config;
    void *waiting[DISCARDS_MAX], *dropping[DISCARDS_MAX]; /* the second is the thread's while it works */
    unsigned waiting_count, dropping_count;
    bool working;
};

struct discards *discards_new(const struct discards_config *c)
{
    struct discards *d = xcalloc(1, sizeof *d);
    d->config = *c;
    return d;
}

void discards_free(struct discards *d)
{
    assert(d == NULL || (!d->working && d->waiting_count == 0));
    free(d);
}

static void drop_all(void *arg)
{
    struct discards *d = arg;
    for (unsigned i = 0; i < d->dropping_count; i++) {
        d->config.drop(d->dropping[i]);
    }
}

static void begin(struct discards *d);

static void dropped(void *arg)
{
    struct discards *d = arg;
    d->working = false;
    if (d->waiting_count > 0) {
        begin(d);
    }
}

static void begin(struct discards *d)
{
    memcpy(d->dropping, d->waiting, d->waiting_count * sizeof d->waiting[0]);
    d->dropping_count = d->waiting_count;
    d->waiting_count = 0;
    d->working = true;
    d->config.run_async(d->config.data, drop_all, dropped, d);
}

void discards_give(struct discards *d, void *what)
{
    if (d->waiting_count == DISCARDS_MAX) {
        d->config.drop(what);
        return;
    }
    d->waiting[d->waiting_count++] = what;
    if (!d->working) {
        begin(d);
    }
}
