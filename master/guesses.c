#include "master/guesses.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define ALL_MS ((int64_t)GUESSES_BURST * GUESSES_EVERY_MS)

static const struct guesses_row *find(const struct guesses *g, const char *network)
{
    for (size_t i = 0; i < ARRAY_SIZE(g->rows); i++) {
        if (strcmp(g->rows[i].network, network) == 0) {
            return &g->rows[i];
        }
    }
    return NULL;
}

int64_t guesses_wait_ms(const struct guesses *g, const char *address, int64_t now_ms)
{
    char network[NET_NETWORK_MAX];
    net_addr_network(address, network);
    const struct guesses_row *row = find(g, network);
    int64_t owed_ms = row == NULL ? 0 : row->full_ms - now_ms;
    return owed_ms > ALL_MS - GUESSES_EVERY_MS ? owed_ms - (ALL_MS - GUESSES_EVERY_MS) : 0;
}

void guesses_note(struct guesses *g, const char *address, int64_t now_ms)
{
    char network[NET_NETWORK_MAX];
    net_addr_network(address, network);
    assert(network[0] != '\0');
    struct guesses_row *row = (struct guesses_row *)find(g, network);
    for (size_t i = 0; row == NULL && i < ARRAY_SIZE(g->rows); i++) {
        row = g->rows[i].network[0] == '\0' ? &g->rows[i] : NULL;
    }
    if (row == NULL) {
        row = &g->rows[0];
        for (size_t i = 1; i < ARRAY_SIZE(g->rows); i++) {
            row = g->rows[i].full_ms < row->full_ms ? &g->rows[i] : row;
        }
    }
    if (strcmp(row->network, network) != 0) {
        *row = (struct guesses_row){0};
        snprintf(row->network, sizeof row->network, "%s", network);
    }
    row->full_ms = MIN(MAX(row->full_ms, now_ms) + GUESSES_EVERY_MS, now_ms + ALL_MS);
}
