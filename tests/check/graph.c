#include "tests/check/graph.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define NONE UINT32_MAX

void graph_init(struct graph *g, uint32_t nodes)
{
    *g = (struct graph){.nodes = nodes};
}

void graph_close(struct graph *g)
{
    free(g->edges);
    free(g->first);
    *g = (struct graph){0};
}

void graph_add(struct graph *g, struct edge e)
{
    assert(e.from < g->nodes && e.to < g->nodes && g->first == NULL);
    if (e.from == e.to) {
        return;
    }
    if (g->count == g->cap) {
        g->cap = g->cap == 0 ? 1024 : 2 * g->cap;
        g->edges = xrealloc(g->edges, g->cap * sizeof *g->edges);
    }
    g->edges[g->count++] = e;
}

static int by_ends(const void *pa, const void *pb)
{
    const struct edge *a = pa, *b = pb;
    int c = (a->from > b->from) - (a->from < b->from);
    c = c != 0 ? c : (a->kind > b->kind) - (a->kind < b->kind);
    return c != 0 ? c : (a->to > b->to) - (a->to < b->to);
}

void graph_ready(struct graph *g)
{
    if (g->count > 0) {
        qsort(g->edges, g->count, sizeof *g->edges, by_ends);
    }
    size_t kept = 0;
    for (size_t i = 0; i < g->count; i++) {
        if (kept == 0 || by_ends(&g->edges[kept - 1], &g->edges[i]) != 0) {
            g->edges[kept++] = g->edges[i];
        }
    }
    g->count = kept;
    g->first = xcalloc((size_t)g->nodes + 1, sizeof *g->first);
    for (size_t i = 0; i < kept; i++) {
        g->first[g->edges[i].from + 1]++;
    }
    for (uint32_t n = 0; n < g->nodes; n++) {
        g->first[n + 1] += g->first[n];
    }
}

struct tarjan {
    uint32_t *index, *low, *next, *calls, *stack;
    bool *on_stack;
    uint32_t calls_count, stack_count, counter;
};

static void enter(struct tarjan *t, const struct graph *g, uint32_t n)
{
    t->index[n] = t->low[n] = t->counter++;
    t->next[n] = g->first[n];
    t->stack[t->stack_count++] = n;
    t->on_stack[n] = true;
    t->calls[t->calls_count++] = n;
}

/* The next node to enter from n; NONE if all its edges have been seen. */
static uint32_t advance(struct tarjan *t, const struct graph *g, unsigned kinds, uint32_t n)
{
    for (; t->next[n] < g->first[n + 1]; t->next[n]++) {
        const struct edge *e = &g->edges[t->next[n]];
        if ((e->kind & kinds) == 0) {
            continue;
        }
        if (t->index[e->to] == NONE) {
            return e->to;
        }
        if (t->on_stack[e->to]) {
            t->low[n] = MIN(t->low[n], t->index[e->to]);
        }
    }
    return NONE;
}

uint32_t graph_components(const struct graph *g, unsigned kinds, uint32_t *component)
{
    size_t n = (size_t)g->nodes + 1;
    struct tarjan t = {.index = xmalloc(n * sizeof(uint32_t)),
                       .low = xcalloc(n, sizeof(uint32_t)),
                       .next = xcalloc(n, sizeof(uint32_t)),
                       .calls = xcalloc(n, sizeof(uint32_t)),
                       .stack = xcalloc(n, sizeof(uint32_t)),
                       .on_stack = xcalloc(n, sizeof(bool))};
    uint32_t components = 0;
    memset(t.index, 0xff, n * sizeof *t.index);
    for (uint32_t root = 0; root < g->nodes; root++) {
        if (t.index[root] == NONE) {
            enter(&t, g, root);
        }
        while (t.calls_count > 0) {
            uint32_t at = t.calls[t.calls_count - 1], to = advance(&t, g, kinds, at);
            if (to != NONE) {
                enter(&t, g, to);
                continue;
            }
            t.calls_count--;
            if (t.calls_count > 0) {
                uint32_t caller = t.calls[t.calls_count - 1];
                t.low[caller] = MIN(t.low[caller], t.low[at]);
            }
            if (t.low[at] == t.index[at]) {
                uint32_t member;
                do {
                    member = t.stack[--t.stack_count];
                    t.on_stack[member] = false;
                    component[member] = components;
                } while (member != at);
                components++;
            }
        }
    }
    free(t.index);
    free(t.low);
    free(t.next);
    free(t.calls);
    free(t.stack);
    free(t.on_stack);
    return components;
}

size_t graph_path(const struct graph *g, unsigned kinds, const uint32_t *component, uint32_t within, uint32_t from,
                  uint32_t to, const struct edge **path)
{
    CLEANUP_FREE const struct edge **by =
        xcalloc((size_t)g->nodes + 1, sizeof *by); /* the edge a node was reached by */
    CLEANUP_FREE uint32_t *queue = xcalloc((size_t)g->nodes + 1, sizeof *queue);
    uint32_t head = 0, tail = 0;
    queue[tail++] = from;
    while (head < tail && by[to] == NULL) {
        uint32_t n = queue[head++];
        for (uint32_t i = g->first[n]; i < g->first[n + 1] && by[to] == NULL; i++) {
            const struct edge *e = &g->edges[i];
            bool inside = component == NULL || component[e->to] == within;
            if ((e->kind & kinds) != 0 && inside && by[e->to] == NULL) {
                by[e->to] = e;
                if (e->to != from) { /* else: the path that comes back to its start, and ends there */
                    queue[tail++] = e->to;
                }
            }
        }
    }
    if (by[to] == NULL) {
        return 0;
    }
    size_t length = 0;
    uint32_t n = to;
    do {
        length++;
        n = by[n]->from;
    } while (n != from);
    n = to;
    for (size_t i = length; i-- > 0;) {
        path[i] = by[n];
        n = by[n]->from;
    }
    return length;
}
