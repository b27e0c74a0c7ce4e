#include "base/counters.h"

#include <assert.h>
#include <string.h>

static void add(struct counters *c, const struct counter *row)
{
    assert(c->count < COUNTERS_MAX && row->name != NULL && row->help != NULL);
    for (unsigned i = 0; i < c->count; i++) {
        assert(strcmp(c->items[i].name, row->name) != 0);
    }
    c->items[c->count++] = *row;
}

void counters_add(struct counters *c, const char *name, const char *help, uint64_t value)
{
    add(c, &(struct counter){name, help, value, false});
}

void counters_add_level(struct counters *c, const char *name, const char *help, uint64_t value)
{
    add(c, &(struct counter){name, help, value, true});
}
