/* Transactions that append to lists and read them: serializable, and strictly so (in the order of real time).
 *
 * Kingsbury and Alvaro, "Elle: inferring isolation anomalies from experimental observations" (2020). Each element is
 * appended once, so a list that was read tells which appends came before it and in which order; the longest list of a
 * key is the order of its versions. From that follow dependencies (graph.h), and a history is serializable only if they
 * have no cycle. Cycles have Adya's names:
 *
 *     G0        of writes alone                      G1a   read of what was told as not done
 *     G1c       of writes and reads                  G1b   read from the middle of a transaction
 *     G-single  with one read of what was replaced   G2    with several of them
 *
 * "-realtime" behind a name: the cycle needs the order in real time, so the history may be serializable, but not
 * strictly. Sound: what is reported is wrong. Appends of unknown outcome that nobody saw are taken for not done. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "tests/check/check.h"
#include "tests/check/graph.h"

#define NO_NODE           UINT32_MAX
#define CYCLE_STARTS_MAX  64u   /* tried per component, for a short cycle */
#define ANTI_EDGES_MAX    2000u /* tried per component */
#define CYCLE_EDGES_SHOWN 12u

/* One append. */
struct element {
    const char *key;
    int64_t value;
    const struct hist_op *op;
    bool final; /* the last of its transaction to this key */
    bool seen;  /* somebody read it */
    bool lost;  /* told so */
};
struct list_key {
    const char *name;
    const struct hist_step *order; /* the longest list read; NULL = never read */
    const struct hist_op *reader;  /* of it */
    struct element *elements;      /* of this key */
    size_t elements_count;
};
struct lists {
    const struct hist *h;
    const struct check_options *o;
    struct findings *out;
    struct element *elements; /* by key and value */
    size_t elements_count;
    struct list_key *keys; /* by name */
    size_t keys_count;
    uint32_t *node_of; /* by number of operation; NO_NODE = takes no part */
    const struct hist_op **ops;
    uint32_t ops_count;
};

static bool read_list(const struct hist_op *op, const struct hist_step *s)
{
    return op->outcome == HIST_OK && s->verb == STEP_READ;
}

/* ---- Elements and keys ---- */

static int by_element(const void *pa, const void *pb)
{
    const struct element *a = pa, *b = pb;
    int c = strcmp(a->key, b->key);
    return c != 0 ? c : (a->value > b->value) - (a->value < b->value);
}

static struct element *element_find(const struct lists *l, const char *key, int64_t value)
{
    struct element wanted = {.key = key, .value = value};
    return l->elements_count == 0 ? NULL : bsearch(&wanted, l->elements, l->elements_count, sizeof wanted, by_element);
}

static int by_name(const void *pa, const void *pb)
{
    return strcmp(((const struct list_key *)pa)->name, ((const struct list_key *)pb)->name);
}

static struct list_key *key_find(const struct lists *l, const char *name)
{
    struct list_key wanted = {.name = name};
    return bsearch(&wanted, l->keys, l->keys_count, sizeof wanted, by_name);
}

static bool appended_later(const struct hist_op *op, unsigned step)
{
    for (unsigned i = step + 1; i < op->steps_count; i++) {
        if (op->steps[i].verb == STEP_APPEND && op->steps[i].key == op->steps[step].key) {
            return true;
        }
    }
    return false;
}

static void collect(struct lists *l)
{
    size_t steps = 0;
    for (size_t i = 0; i < l->h->count; i++) {
        steps += l->h->ops[i].f == HIST_TXN ? l->h->ops[i].steps_count : 0;
    }
    l->elements = xcalloc(steps + 1, sizeof *l->elements);
    l->keys = xcalloc(steps + 1, sizeof *l->keys);
    for (size_t i = 0; i < l->h->count; i++) {
        const struct hist_op *op = &l->h->ops[i];
        for (unsigned k = 0; op->f == HIST_TXN && k < op->steps_count; k++) {
            const struct hist_step *s = &op->steps[k];
            l->keys[l->keys_count++] = (struct list_key){.name = s->key};
            if (s->verb == STEP_APPEND) {
                l->elements[l->elements_count++] = (struct element){
                    .key = s->key, .value = s->value.number, .op = op, .final = !appended_later(op, k)};
            }
        }
    }
    qsort(l->keys, l->keys_count, sizeof *l->keys, by_name);
    qsort(l->elements, l->elements_count, sizeof *l->elements, by_element);
    size_t kept = 0;
    for (size_t i = 0; i < l->keys_count; i++) {
        if (kept == 0 || l->keys[kept - 1].name != l->keys[i].name) {
            l->keys[kept++] = l->keys[i];
        }
    }
    l->keys_count = kept;
    for (size_t i = 0; i < l->elements_count; i++) {
        struct list_key *key = key_find(l, l->elements[i].key);
        key->elements = key->elements == NULL ? &l->elements[i] : key->elements;
        key->elements_count++;
    }
    for (size_t i = 1; i < l->elements_count; i++) {
        const struct element *a = &l->elements[i - 1], *b = &l->elements[i];
        if (by_element(a, b) == 0) {
            findings_give_up(l->out, "%" PRId64 " is appended to %s by op %zu and by op %zu: elements must be unique",
                             a->value, a->key, a->op->number, b->op->number);
        }
    }
}

/* ---- What one transaction saw ---- */

/* Its own appends stand at the end of what it reads, behind what it read before. */
static void judge_internal(struct lists *l, const struct hist_op *op)
{
    for (unsigned k = 0; k < op->steps_count; k++) {
        const struct hist_step *s = &op->steps[k];
        if (s->verb != STEP_READ) {
            continue;
        }
        const struct hist_step *before = NULL; /* an earlier read of the same key */
        CLEANUP_FREE int64_t *own = xcalloc(op->steps_count, sizeof *own);
        unsigned own_count = 0;
        for (unsigned i = 0; i < k; i++) {
            if (op->steps[i].key == s->key && op->steps[i].verb == STEP_READ) {
                before = &op->steps[i];
                own_count = 0;
            } else if (op->steps[i].key == s->key) {
                own[own_count++] = op->steps[i].value.number;
            }
        }
        bool tail = s->list_count >= own_count &&
                    (own_count == 0 || memcmp(s->list + s->list_count - own_count, own, own_count * sizeof *own) == 0);
        bool same =
            tail && (before == NULL || (s->list_count == before->list_count + own_count &&
                                        (before->list_count == 0 ||
                                         memcmp(s->list, before->list, before->list_count * sizeof *own) == 0)));
        if (!same) {
            anomaly_op(findings_add(l->out, "internal",
                                    "op %zu did not read in %s what it had read and appended itself before", op->number,
                                    s->key),
                       op);
        }
    }
}

static int by_value(const void *pa, const void *pb)
{
    int64_t a = *(const int64_t *)pa, b = *(const int64_t *)pb;
    return (a > b) - (a < b);
}

static bool twice_in(const struct hist_step *s, int64_t *value)
{
    CLEANUP_FREE int64_t *sorted = xcalloc(s->list_count + 1u, sizeof *sorted);
    if (s->list_count > 0) {
        memcpy(sorted, s->list, s->list_count * sizeof *sorted);
        qsort(sorted, s->list_count, sizeof *sorted, by_value);
    }
    for (unsigned i = 1; i < s->list_count; i++) {
        if (sorted[i] == sorted[i - 1]) {
            *value = sorted[i];
            return true;
        }
    }
    return false;
}

/* Whether the operation appends the value behind the step. */
static bool appends_behind(const struct hist_op *op, const struct hist_step *s, int64_t value)
{
    for (const struct hist_step *p = s + 1; p < op->steps + op->steps_count; p++) {
        if (p->verb == STEP_APPEND && p->key == s->key && p->value.number == value) {
            return true;
        }
    }
    return false;
}

static void judge_read(struct lists *l, const struct hist_op *op, const struct hist_step *s)
{
    int64_t value;
    struct anomaly *a = NULL;
    if (twice_in(s, &value)) {
        a = findings_add(l->out, "duplicate-append", "%" PRId64 " stands twice in %s", value, s->key);
        anomaly_op(a, op);
        const struct element *e = element_find(l, s->key, value);
        if (e != NULL) {
            anomaly_op(a, e->op);
        }
    }
    for (unsigned i = 0; i < s->list_count; i++) {
        struct element *e = element_find(l, s->key, s->list[i]);
        if (e == NULL) {
            a = findings_add(l->out, "value-from-nowhere", "op %zu read %" PRId64 " in %s, which nobody appended",
                             op->number, s->list[i], s->key);
            anomaly_op(a, op);
            continue;
        }
        e->seen = true;
        if (e->op->outcome == HIST_FAIL) {
            a = findings_add(l->out, "G1a",
                             "op %zu read %" PRId64 " in %s; op %zu appended it, and that was told as not done",
                             op->number, e->value, s->key, e->op->number);
            anomaly_op(a, op);
            anomaly_op(a, e->op);
        } else if (i + 1 == s->list_count && !e->final && e->op != op) {
            a = findings_add(l->out, "G1b",
                             "op %zu read %s as it was in the middle of op %zu, behind %" PRId64
                             " and before what else that appended",
                             op->number, s->key, e->op->number, e->value);
            anomaly_op(a, op);
            anomaly_op(a, e->op);
        } else if (e->op == op && appends_behind(op, s, e->value)) {
            a = findings_add(l->out, "internal", "op %zu read %" PRId64 " in %s before it appended that itself",
                             op->number, e->value, s->key);
            anomaly_op(a, op);
        } else if (e->op->start_us > op->end_us && !l->o->serializable_only) {
            a = findings_add(l->out, "read-from-future", "op %zu read %" PRId64 " in %s before op %zu had begun",
                             op->number, e->value, s->key, e->op->number);
            anomaly_op(a, op);
            anomaly_op(a, e->op);
        }
    }
}

/* ---- The order of versions ---- */

static bool is_prefix(const struct hist_step *a, const struct hist_step *b)
{
    return a->list_count <= b->list_count &&
           (a->list_count == 0 || memcmp(a->list, b->list, a->list_count * sizeof *a->list) == 0);
}

static void judge_orders(struct lists *l)
{
    for (size_t i = 0; i < l->h->count; i++) {
        const struct hist_op *op = &l->h->ops[i];
        for (unsigned k = 0; op->f == HIST_TXN && k < op->steps_count; k++) {
            struct list_key *key = key_find(l, op->steps[k].key);
            if (read_list(op, &op->steps[k]) &&
                (key->order == NULL || op->steps[k].list_count > key->order->list_count)) {
                key->order = &op->steps[k];
                key->reader = op;
            }
        }
    }
    for (size_t i = 0; i < l->h->count; i++) {
        const struct hist_op *op = &l->h->ops[i];
        for (unsigned k = 0; op->f == HIST_TXN && k < op->steps_count; k++) {
            const struct list_key *key = key_find(l, op->steps[k].key);
            if (read_list(op, &op->steps[k]) && !is_prefix(&op->steps[k], key->order)) {
                struct anomaly *a = findings_add(
                    l->out, "incompatible-order",
                    "op %zu and op %zu saw %s in orders of which neither continues the other: appends were lost or "
                    "reordered",
                    op->number, key->reader->number, key->name);
                anomaly_op(a, op);
                anomaly_op(a, key->reader);
            }
        }
    }
}

/* Acknowledged, and whoever read the list later did not find it. */
static void judge_lost(struct lists *l)
{
    for (size_t i = 0; i < l->elements_count; i++) {
        struct element *e = &l->elements[i];
        const struct hist_op *reader = NULL;
        if (e->seen || e->op->outcome != HIST_OK) {
            continue;
        }
        for (size_t n = l->h->count; n-- > 0 && reader == NULL && l->h->ops[n].start_us > e->op->end_us;) {
            const struct hist_op *op = &l->h->ops[n];
            for (unsigned k = 0; op->f == HIST_TXN && k < op->steps_count; k++) {
                reader = op->steps[k].key == e->key && read_list(op, &op->steps[k]) ? op : reader;
            }
        }
        e->lost = reader != NULL;
        if (e->lost) {
            struct anomaly *a = findings_add(l->out, "lost-append",
                                             "op %zu appended %" PRId64
                                             " to %s and was told that it is done; no read has it, not even op %zu, "
                                             "which began later",
                                             e->op->number, e->value, e->key, reader->number);
            anomaly_op(a, e->op);
            anomaly_op(a, reader);
        }
    }
}

/* ---- Dependencies ---- */

static uint32_t writer_node(const struct lists *l, const char *key, int64_t value)
{
    const struct element *e = element_find(l, key, value);
    return e == NULL ? NO_NODE : l->node_of[e->op->number];
}

static void choose_nodes(struct lists *l)
{
    l->node_of = xmalloc((l->h->count + 1) * sizeof *l->node_of);
    l->ops = xcalloc(l->h->count + 1, sizeof *l->ops);
    CLEANUP_FREE bool *seen = xcalloc(l->h->count + 1, sizeof *seen);
    for (size_t i = 0; i < l->elements_count; i++) {
        seen[l->elements[i].op->number] |= l->elements[i].seen;
    }
    for (size_t i = 0; i < l->h->count; i++) {
        const struct hist_op *op = &l->h->ops[i];
        bool part = op->f == HIST_TXN && (op->outcome == HIST_OK || (op->outcome == HIST_INFO && seen[i]));
        l->node_of[i] = part ? l->ops_count : NO_NODE;
        if (part) {
            l->ops[l->ops_count++] = op;
        }
    }
}

static void add_writes(const struct lists *l, const struct list_key *key, struct graph *g)
{
    uint32_t last = NO_NODE;
    int64_t last_value = 0;
    for (unsigned i = 0; key->order != NULL && i < key->order->list_count; i++) {
        int64_t value = key->order->list[i];
        uint32_t node = writer_node(l, key->name, value);
        if (node != NO_NODE && last != NO_NODE) {
            graph_add(g, (struct edge){last, node, EDGE_WW, key->name, value, last_value, true});
        }
        last = node != NO_NODE ? node : last;
        last_value = node != NO_NODE ? value : last_value;
    }
}

static void add_read(const struct lists *l, uint32_t reader, const struct hist_step *s, struct graph *g)
{
    const struct list_key *key = key_find(l, s->key);
    if (!is_prefix(s, key->order)) {
        return; /* reported; there is no order that it could follow from */
    }
    for (unsigned i = s->list_count; i-- > 0;) {
        uint32_t writer = writer_node(l, s->key, s->list[i]);
        if (writer != reader && writer != NO_NODE) {
            graph_add(g, (struct edge){writer, reader, EDGE_WR, s->key, s->list[i], 0, false});
            break;
        }
    }
    for (unsigned i = s->list_count; i < key->order->list_count; i++) {
        uint32_t writer = writer_node(l, s->key, key->order->list[i]);
        if (writer != NO_NODE) {
            graph_add(g, (struct edge){reader, writer, EDGE_RW, s->key, key->order->list[i], 0, false});
            return;
        }
    }
    /* It read all that anybody saw, so it comes before what was done and never seen. */
    for (size_t i = 0; i < key->elements_count; i++) {
        const struct element *e = &key->elements[i];
        uint32_t writer = l->node_of[e->op->number];
        if (!e->seen && !e->lost && writer != NO_NODE) {
            graph_add(g, (struct edge){reader, writer, EDGE_RW, s->key, e->value, 0, false});
        }
    }
}

static int by_end(const void *pa, const void *pb)
{
    const struct hist_op *a = *(const struct hist_op *const *)pa, *b = *(const struct hist_op *const *)pb;
    return (a->end_us > b->end_us) - (a->end_us < b->end_us);
}

/* A chain of moments, one for each end: what ended points to its moment, the last moment before a start points to what
 * began. So the order in real time takes as many edges as there are operations. Moments are the nodes behind the
 * operations. */
static void add_times(const struct lists *l, struct graph *g)
{
    CLEANUP_FREE const struct hist_op **ended = xcalloc(l->ops_count + 1u, sizeof *ended);
    uint32_t count = 0;
    for (uint32_t i = 0; i < l->ops_count; i++) {
        if (l->ops[i]->outcome == HIST_OK) {
            ended[count++] = l->ops[i];
        }
    }
    qsort(ended, count, sizeof *ended, by_end);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t moment = l->ops_count + i;
        graph_add(g, (struct edge){.from = l->node_of[ended[i]->number], .to = moment, .kind = EDGE_TIME});
        if (i > 0) {
            graph_add(g, (struct edge){.from = moment - 1, .to = moment, .kind = EDGE_TIME});
        }
    }
    uint32_t before = 0;
    for (uint32_t i = 0; i < l->ops_count; i++) { /* ordered by start */
        while (before < count && ended[before]->end_us < l->ops[i]->start_us) {
            before++;
        }
        if (before > 0) {
            graph_add(g, (struct edge){.from = l->ops_count + before - 1, .to = i, .kind = EDGE_TIME});
        }
    }
}

/* ---- Cycles ---- */

static void explain(const struct lists *l, const struct edge **path, size_t length, struct buf *out)
{
    unsigned shown = 0;
    uint32_t ended = NO_NODE;
    for (size_t i = 0; i < length; i++) {
        const struct edge *e = path[i];
        if (e->kind == EDGE_TIME && e->from < l->ops_count) {
            ended = e->from;
        }
        if (e->kind == EDGE_TIME && e->to >= l->ops_count) {
            continue; /* from moment to moment */
        }
        if (shown++ == CYCLE_EDGES_SHOWN) {
            buf_puts(out, "; and so on");
            return;
        }
        size_t to = l->ops[e->to]->number;
        buf_puts(out, shown == 1 ? "" : "; ");
        if (e->kind == EDGE_TIME) {
            buf_printf(out, "op %zu had ended before op %zu began", l->ops[ended]->number, to);
        } else if (e->kind == EDGE_WW) {
            buf_printf(out, "op %zu appended %" PRId64 " to %s before op %zu appended %" PRId64,
                       l->ops[e->from]->number, e->before, e->key, to, e->value);
        } else if (e->kind == EDGE_WR) {
            buf_printf(out, "op %zu read %" PRId64 " in %s, which op %zu appended", to, e->value, e->key,
                       l->ops[e->from]->number);
        } else {
            buf_printf(out, "op %zu read %s without %" PRId64 ", which op %zu appended", l->ops[e->from]->number,
                       e->key, e->value, to);
        }
    }
}

struct cycle {
    const struct edge **path, **best;
    size_t length; /* of best; 0 = none */
};

static void keep_shorter(struct cycle *c, size_t length)
{
    if (length > 0 && (c->length == 0 || length < c->length)) {
        memcpy(c->best, c->path, length * sizeof *c->path);
        c->length = length;
    }
}

struct pass {
    const char *name;
    unsigned kinds;
    bool one_rw; /* exactly one RW edge in the cycle */
};
static const struct pass passes[] = {
    {"G0", EDGE_WW, false},
    {"G1c", EDGE_WW | EDGE_WR, false},
    {"G-single", EDGE_WW | EDGE_WR | EDGE_RW, true},
    {"G2", EDGE_WW | EDGE_WR | EDGE_RW, false},
    {"G0-realtime", EDGE_WW | EDGE_TIME, false},
    {"G1c-realtime", EDGE_WW | EDGE_WR | EDGE_TIME, false},
    {"G-single-realtime", EDGE_WW | EDGE_WR | EDGE_RW | EDGE_TIME, true},
    {"G2-realtime", EDGE_WW | EDGE_WR | EDGE_RW | EDGE_TIME, false},
};

/* Cycles through the node that have what the pass asks for. */
static void try_node(const struct graph *g, const struct pass *p, const uint32_t *component, uint32_t n,
                     unsigned *tries, struct cycle *c)
{
    if (!p->one_rw) {
        (*tries)++;
        keep_shorter(c, graph_path(g, p->kinds, component, component[n], n, n, c->path));
        return;
    }
    for (uint32_t i = g->first[n]; i < g->first[n + 1]; i++) {
        const struct edge *e = &g->edges[i];
        if (e->kind == EDGE_RW && component[e->to] == component[n]) {
            (*tries)++;
            size_t rest = graph_path(g, p->kinds & ~(unsigned)EDGE_RW, component, component[n], e->to, n, c->path + 1);
            c->path[0] = e;
            keep_shorter(c, rest == 0 ? 0 : rest + 1);
        }
    }
}

static void tell_cycle(const struct lists *l, const struct pass *p, const struct cycle *c, bool *told)
{
    CLEANUP_BUF struct buf words = BUF_INIT;
    explain(l, c->best, c->length, &words);
    struct anomaly *a =
        findings_add(l->out, p->name, "no order explains what these transactions saw: %s", buf_cstr(&words));
    for (size_t i = 0; i < c->length; i++) {
        told[c->best[i]->from] = true;
        if (c->best[i]->from < l->ops_count) {
            anomaly_op(a, l->ops[c->best[i]->from]);
        }
    }
}

/* One cycle, as short as can be found, for each component in which nothing was told yet. */
static void run_pass(const struct lists *l, const struct graph *g, const struct pass *p, bool *told)
{
    CLEANUP_FREE uint32_t *component = xcalloc(g->nodes + 1u, sizeof *component);
    uint32_t components = graph_components(g, p->kinds, component);
    CLEANUP_FREE uint32_t *size = xcalloc(components + 1u, sizeof *size);
    CLEANUP_FREE bool *done = xcalloc(components + 1u, sizeof *done);
    for (uint32_t n = 0; n < g->nodes; n++) {
        size[component[n]]++;
        done[component[n]] |= told[n];
    }
    struct cycle c = {.path = xcalloc(g->nodes + 2u, sizeof *c.path), .best = xcalloc(g->nodes + 2u, sizeof *c.best)};
    for (uint32_t n = 0; n < l->ops_count; n++) {
        if (done[component[n]] || size[component[n]] < 2) {
            continue;
        }
        unsigned tries = 0;
        c.length = 0;
        for (uint32_t at = n; at < l->ops_count && tries < (p->one_rw ? ANTI_EDGES_MAX : CYCLE_STARTS_MAX); at++) {
            if (component[at] == component[n]) {
                try_node(g, p, component, at, &tries, &c);
            }
        }
        done[component[n]] = true;
        if (c.length > 0) {
            tell_cycle(l, p, &c, told);
        }
    }
    free(c.path);
    free(c.best);
}

static void judge_cycles(const struct lists *l)
{
    struct graph g;
    graph_init(&g, 2 * l->ops_count);
    for (size_t i = 0; i < l->keys_count; i++) {
        add_writes(l, &l->keys[i], &g);
    }
    for (uint32_t n = 0; n < l->ops_count; n++) {
        for (unsigned k = 0; k < l->ops[n]->steps_count; k++) {
            if (read_list(l->ops[n], &l->ops[n]->steps[k])) {
                add_read(l, n, &l->ops[n]->steps[k], &g);
            }
        }
    }
    if (!l->o->serializable_only) {
        add_times(l, &g);
    }
    graph_ready(&g);
    CLEANUP_FREE bool *told = xcalloc(g.nodes + 1u, sizeof *told);
    for (size_t i = 0; i < ARRAY_SIZE(passes); i++) {
        if (!l->o->serializable_only || (passes[i].kinds & EDGE_TIME) == 0) {
            run_pass(l, &g, &passes[i], told);
        }
    }
    graph_close(&g);
}

void check_append(const struct hist *h, const struct check_options *o, struct findings *out)
{
    struct lists l = {.h = h, .o = o, .out = out};
    collect(&l);
    for (size_t i = 0; i < h->count && out->gave_up == NULL; i++) {
        const struct hist_op *op = &h->ops[i];
        out->checked += op->f == HIST_TXN;
        if (op->f != HIST_TXN || op->outcome != HIST_OK) {
            continue;
        }
        judge_internal(&l, op);
        for (unsigned k = 0; k < op->steps_count; k++) {
            if (op->steps[k].verb == STEP_READ) {
                judge_read(&l, op, &op->steps[k]);
            }
        }
    }
    if (out->gave_up == NULL) {
        judge_orders(&l);
        if (!o->serializable_only) {
            judge_lost(&l);
        }
        choose_nodes(&l);
        judge_cycles(&l);
    }
    out->checked = MAX(out->checked, out->gave_up != NULL ? 1 : 0);
    free(l.elements);
    free(l.keys);
    free(l.node_of);
    free(l.ops);
}
