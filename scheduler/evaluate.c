/* Tables are built when a class is first decided on, and then follow the nodes that changed. */
#include <assert.h>
#include <stdlib.h>

#include "scheduler/core.h"

/* t: the class's own, or its kin's. */
static void slot_evaluate(struct scheduler *s, const struct sched_class *c, struct sched_table *t, unsigned slot,
                          bool fixed_too)
{
    const struct sched_node *n = s->slots[slot];
    s->stats.evaluations++;
    if (fixed_too || n == NULL) {
        t->fixed[slot] = (int16_t)(n == NULL ? -1 : sched_node_fixed_score(c, n));
        table_place(t, slot);
    }
    int moving = t->fixed[slot] < 0 ? -1 : t->owner == NULL ? kin_moving_score(c, n) : sched_node_moving_score(c, n);
    int score = -1;
    if (moving >= 0 && (t->owner == NULL || !places_any(c))) {
        score = TOPO_SCORE_BIAS + t->fixed[slot] + moving;
    } else if (moving >= 0 && places_fit(c, slot, TOPO_NARROW)) { /* what is wide is asked when a cell is chosen */
        score = TOPO_SCORE_BIAS + t->fixed[slot] + moving + places_score(c, slot, TOPO_NARROW);
    }
    table_set(t, slot, score, &s->rng);
}

static struct str shape_of(const struct sched_class *c)
{
    return (struct str){(const char *)c->shape, sizeof c->shape};
}

static bool is_judged_by_shape(const struct sched_class *c)
{
    return c->claims == NULL && places_by_owner_alone(c);
}

void table_drop(struct scheduler *s, struct sched_class *c)
{
    if (c->table != NULL) {
        if (c->table->lent) {
            strmap_remove(&s->shapes, shape_of(c));
        }
        table_free(TAKE_PTR(c->table));
        s->tables_count--;
    }
}

void table_end(struct scheduler *s, struct sched_table *t)
{
    if (t->owner != NULL) {
        table_drop(s, t->owner);
    } else {
        kin_drop(s, t);
    }
}

/* Pods that differ in labels alone, which nobody asks for, are classes of their own with one table: the class that is
 * decided on takes it over. */
static void table_take_over(struct scheduler *s, struct sched_class *c)
{
    struct sched_class *other = c->table == NULL && is_judged_by_shape(c) ? strmap_get(&s->shapes, shape_of(c)) : NULL;
    if (other != NULL) {
        c->table = TAKE_PTR(other->table);
        c->table->owner = c;
        strmap_set(&s->shapes, shape_of(c), c);
    }
}

static struct sched_table *table_build(struct scheduler *s, struct sched_class *c, bool kins)
{
    struct topo_key *wide[TOPO_KEYS_MAX];
    unsigned wide_count = places_wide_keys(c, wide, ARRAY_SIZE(wide));
    struct sched_table *t = table_new(s->slots_cap, wide, wide_count);
    size_t bytes = table_bytes(t); /* the others have nearly as many */
    while (s->tables_count > 0 && (s->tables_count == TABLES_MAX || (s->tables_count + 1) * bytes > TABLES_BYTES_MAX)) {
        table_end(s, LIST_ENTRY(s->tables.prev, struct sched_table, lru));
    }
    t->epoch = s->places.epoch;
    t->common = places_common(c);
    s->tables_count++;
    if (kins) {
        kin_enter(s, c, t);
    } else {
        t->owner = c;
        c->table = t;
    }
    if (!kins && is_judged_by_shape(c)) {
        t->lent = true;
        strmap_set(&s->shapes, shape_of(c), c);
    }
    for (unsigned slot = 0; slot < s->slots_count; slot++) {
        slot_evaluate(s, c, t, slot, true);
    }
    return t;
}

static void table_follow(struct scheduler *s, const struct sched_class *c, struct sched_table *t)
{
    for (uint64_t n = t->seen + 1; n <= s->changes; n++) {
        unsigned slot = s->ring[n % CHANGES_MAX];
        if (s->slot_changed[slot] == n) { /* later changes of the same node come later */
            slot_evaluate(s, c, t, slot, s->slot_fixed[slot] > t->seen);
        }
    }
    uint64_t common = places_common(c);
    for (unsigned slot = 0; common != t->common && slot < s->slots_count; slot++) {
        slot_evaluate(s, c, t, slot, false);
    }
    t->common = common;
}

struct sched_table *table_refresh(struct scheduler *s, struct sched_class *c)
{
    table_take_over(s, c);
    bool kins = kin_has_table(s, c);
    struct sched_table *t = kins ? kin_find(s, c) : c->table;
    if (t != NULL && (t->cap < s->slots_cap || s->changes - t->seen > CHANGES_MAX || t->epoch != s->places.epoch)) {
        table_end(s, t);
        t = NULL;
    }
    if (t == NULL) {
        t = table_build(s, c, kins);
    } else {
        table_follow(s, c, t);
    }
    t->seen = s->changes;
    list_remove(&t->lru);
    list_push_front(&s->tables, &t->lru);
    return t;
}

static struct kin_best best_of(const struct scheduler *s, const struct sched_class *c, const struct sched_table *t,
                               const struct sched_cell *cell)
{
    uint32_t slot = cell_best(cell);
    return slot == TABLE_NONE || t->owner != NULL ? (struct kin_best){slot, slot == TABLE_NONE ? 0 : t->key[slot]}
                                                  : kin_cell_best(s, c, t, cell);
}

uint32_t table_pick(struct scheduler *s, struct sched_class *c)
{
    const struct sched_table *t = table_refresh(s, c);
    if (t->wide_count == 0) {
        return best_of(s, c, t, &t->cells[0]).slot;
    }
    struct kin_best best = {TABLE_NONE, 0};
    for (unsigned i = 0; i < t->cells_count; i++) {
        struct kin_best one = best_of(s, c, t, &t->cells[i]);
        if (one.slot == TABLE_NONE || !places_fit(c, one.slot, TOPO_WIDE)) {
            continue;
        }
        one.key += (uint64_t)(int64_t)places_score(c, one.slot, TOPO_WIDE) << 32;
        if (best.slot == TABLE_NONE || one.key > best.key) {
            best = one;
        }
    }
    return best.slot;
}

/* ---- Reasons ---- */

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void reasons_join(const struct reasons *r, struct buf *out)
{
    struct arena a;
    arena_init(&a);
    char **lines = arena_alloc(&a, (r->counts.count + 1) * sizeof *lines);
    size_t count = 0, at = 0;
    const struct strmap_entry *e;
    while ((e = strmap_next(&r->counts, &at)) != NULL) {
        lines[count++] = arena_printf(&a, "%lu %s", (unsigned long)(uintptr_t)e->value, e->key);
    }
    qsort(lines, count, sizeof *lines, compare_lines);
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "%s%s", i == 0 ? "" : ", ", lines[i]);
    }
    arena_close(&a);
}

void reasons_write(struct scheduler *s, const struct sched_class *c, struct buf *out)
{
    struct reasons why;
    bool fits = false;
    if (s->nodes_present == 0) {
        buf_puts(out, "no nodes available to schedule pods");
        return;
    }
    if (c->claims != NULL && c->claims->blocked != NULL) {
        buf_printf(out, "0/%u nodes are available: %s.", s->nodes_present, c->claims->blocked);
        return;
    }
    if (c->places->refused != NULL) {
        buf_printf(out, "0/%u nodes are available: %s.", s->nodes_present, c->places->refused);
        return;
    }
    strmap_init(&why.counts);
    for (unsigned slot = 0; slot < s->slots_count && !fits; slot++) {
        const struct sched_node *n = s->slots[slot];
        fits = n != NULL && n->obj != NULL && sched_node_fits(c, n, &why);
    }
    if (!fits) {
        buf_printf(out, "0/%u nodes are available: ", s->nodes_present);
        reasons_join(&why, out);
        buf_putc(out, '.');
    }
    strmap_close(&why.counts);
}
