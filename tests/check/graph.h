/* A directed graph of operations and why one must come before the other, and its cycles. Nodes are numbers from 0. */
#ifndef TESTS_CHECK_GRAPH_H
#define TESTS_CHECK_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Adya, "Weak consistency" (1999), and the order in real time. */
enum edge_kind {
    EDGE_WW = 1,   /* to wrote directly behind what from wrote */
    EDGE_WR = 2,   /* to read what from wrote */
    EDGE_RW = 4,   /* from read what to replaced */
    EDGE_TIME = 8, /* from ended before to began */
};
struct edge {
    uint32_t from, to;
    enum edge_kind kind;
    const char *key; /* NULL for EDGE_TIME */
    int64_t value;   /* WW, RW: what `to` wrote; WR: what `from` wrote and `to` read */
    int64_t before;  /* WW: what `from` wrote */
    bool has_before;
};
struct graph {
    struct edge *edges;
    size_t count, cap;
    uint32_t nodes;
    uint32_t *first; /* after graph_ready: edges of node n are first[n] .. first[n + 1] - 1 */
};
void graph_init(struct graph *g, uint32_t nodes);
void graph_close(struct graph *g);
void graph_add(struct graph *g, struct edge e); /* not to itself: ignored */
void graph_ready(struct graph *g);              /* behind the last edge: sorts, drops doubles */

/* Strongly connected components over edges of `kinds` (bits of edge_kind): number by node. Tarjan's algorithm,
 * without recursion. */
uint32_t graph_components(const struct graph *g, unsigned kinds, uint32_t *component);
/* A shortest path from `from` to `to` of at least one edge, over edges of `kinds` inside component `within` (component
 * == NULL: anywhere). path: room for nodes + 1 edges. Returns its length; 0 = none. */
size_t graph_path(const struct graph *g, unsigned kinds, const uint32_t *component, uint32_t within, uint32_t from,
                  uint32_t to, const struct edge **path);

#endif
