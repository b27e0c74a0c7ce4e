/* What an update and an apply make of the managers. See managed.h for the laws. */
#include <stdlib.h>

#include "proto/managed/managed_int.h"

static struct managed_entry *entry_of(const struct managed *m, enum managed_how how, const struct managed_writer *w)
{
    for (unsigned i = 0; i < m->count; i++) {
        struct managed_entry *e = &m->entries[i];
        if (e->how == how && str_eq(e->manager, w->manager) && str_eq(e->subresource, w->subresource)) {
            return e;
        }
    }
    return NULL;
}

static struct managed_entry *entry_add(struct arena *a, struct managed *m, enum managed_how how,
                                       const struct managed_writer *w)
{
    m->entries = arena_grow(a, m->entries, m->count, &m->cap, sizeof *m->entries, 4);
    m->entries[m->count] = (struct managed_entry){
        .manager = w->manager, .subresource = w->subresource, .how = how, .has_time = true, .time_s = w->now_s};
    return &m->entries[m->count++];
}

bool managed_same(const struct managed *x, const struct managed *y)
{
    bool same = x->count == y->count;
    for (unsigned i = 0; i < x->count && same; i++) {
        struct managed_writer w = {.manager = x->entries[i].manager, .subresource = x->entries[i].subresource};
        const struct managed_entry *e = entry_of(y, x->entries[i].how, &w);
        same = e != NULL && managed_equal(&x->entries[i].set, &e->set);
    }
    return same;
}

/* Those who apply first, then by time: as Kubernetes shows them. */
static int entry_cmp(const void *x, const void *y)
{
    const struct managed_entry *a = x, *b = y;
    int c = (a->how > b->how) - (a->how < b->how);
    c = c != 0 ? c : (a->time_s > b->time_s) - (a->time_s < b->time_s);
    c = c != 0 ? c : str_cmp(a->manager, b->manager);
    return c != 0 ? c : str_cmp(a->subresource, b->subresource);
}

static bool is_ancient(const struct managed_entry *e)
{
    return e->how == MANAGED_UPDATE && e->subresource.n == 0 && str_is(e->manager, MANAGED_ANCIENT);
}

/* Sorted, without who owns nothing, and with few who update. */
static void tidy(struct arena *a, struct managed *m)
{
    unsigned kept = 0, updaters = 0;
    for (unsigned i = 0; i < m->count; i++) {
        if (m->entries[i].set.count > 0) {
            updaters += m->entries[i].how == MANAGED_UPDATE;
            m->entries[kept++] = m->entries[i];
        }
    }
    m->count = kept;
    if (kept > 1) {
        qsort(m->entries, kept, sizeof *m->entries, entry_cmp);
    }
    if (updaters <= MANAGED_UPDATERS) {
        return;
    }
    struct managed_entry old = {.manager = STR(MANAGED_ANCIENT), .how = MANAGED_UPDATE};
    unsigned left = updaters - MANAGED_UPDATERS + 1;
    kept = 0;
    for (unsigned i = 0; i < m->count; i++) {
        struct managed_entry *e = &m->entries[i];
        bool goes = is_ancient(e) || (e->how == MANAGED_UPDATE && left > 0);
        if (!goes) {
            m->entries[kept++] = *e;
            continue;
        }
        left -= left > 0;
        old.set = managed_union(a, &old.set, &e->set);
        old.has_time = e->has_time;
        old.time_s = e->time_s; /* of the newest of them */
    }
    m->entries[kept++] = old;
    m->count = kept;
    qsort(m->entries, kept, sizeof *m->entries, entry_cmp);
}

/* What others own of what has changed and of what is gone, they own no more. */
static void take_from_others(struct arena *a, struct managed *m, const struct managed_entry *mine,
                             const struct managed_set *changed, const struct managed_set *gone)
{
    for (unsigned i = 0; i < m->count; i++) {
        struct managed_entry *e = &m->entries[i];
        e->set = managed_difference(a, &e->set, gone);
        if (e != mine) {
            e->set = managed_difference(a, &e->set, changed);
        }
    }
}

bool managed_note_update(const struct kind *k, struct arena *a, struct managed *m, const struct value *before,
                         const struct value *after, const struct managed_writer *w)
{
    struct managed_set changed, gone;
    managed_compare(k, a, w->part, before, after, &changed, &gone);
    if (changed.count == 0 && gone.count == 0) {
        return false;
    }
    struct managed_entry *mine = entry_of(m, MANAGED_UPDATE, w);
    if (mine == NULL && changed.count > 0) {
        mine = entry_add(a, m, MANAGED_UPDATE, w);
    }
    take_from_others(a, m, mine, &changed, &gone);
    if (mine != NULL) {
        mine->set = managed_union(a, &mine->set, &changed);
        mine->has_time = true;
        mine->time_s = w->now_s;
    }
    tidy(a, m);
    return true;
}

void managed_note_own(const struct kind *k, struct arena *a, const struct value *before, struct value *doc,
                      const struct managed_writer *w)
{
    struct value *metadata = value_get(doc, "metadata"), *stored = value_get(metadata, MANAGED_MEMBER);
    struct managed m;
    if (stored != NULL && stored->type == VALUE_BIN && managed_read(a, stored->str, &m) &&
        managed_note_update(k, a, &m, before, doc, w)) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        managed_write(&b, &m);
        value_set(a, metadata, MANAGED_MEMBER, value_bin(a, b.data, b.size));
    }
}

/* ---- Conflicts ---- */

struct conflict {
    const struct managed_entry *with;
    struct managed_set paths;
};

static void count_path(void *data, struct str path)
{
    (void)path;
    ++*(unsigned *)data;
}

static void put_manager(struct buf *b, const struct managed_entry *e, const char *api_version)
{
    buf_printf(b, "with \"%.*s\"", STR_ARG(e->manager));
    if (e->subresource.n > 0) {
        buf_printf(b, " with subresource \"%.*s\"", STR_ARG(e->subresource));
    }
    if (e->how == MANAGED_UPDATE) {
        buf_printf(b, " using %s", api_version);
    }
}

struct conflict_text {
    struct buf *b;
    bool one;
};

static void put_path(void *data, struct str path)
{
    struct conflict_text *t = data;
    if (t->b->size >= ERROR_MESSAGE_MAX) {
        return; /* nobody would read it */
    }
    buf_printf(t->b, t->one ? " %.*s" : "\n- %.*s", STR_ARG(path));
}

struct causes {
    struct error *err;
    struct str whose;
};

static void add_cause(void *data, struct str path)
{
    struct causes *c = data;
    error_add_cause(c->err, ERROR_CAUSE_FIELD_MANAGER, path, c->whose);
}

/* In the words of Kubernetes. */
static int tell_conflicts(const struct kind *k, const struct conflict *all, unsigned count, struct error *err)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    unsigned paths = 0;
    for (unsigned i = 0; i < count; i++) {
        managed_each_path(&all[i].paths, count_path, &paths);
    }
    struct conflict_text t = {&text, paths == 1};
    for (unsigned i = 0; i < count; i++) {
        buf_puts(&text, i > 0 ? "\n" : "");
        buf_puts(&text, t.one ? "conflict " : "conflicts ");
        put_manager(&text, all[i].with, k->api_version);
        buf_putc(&text, ':');
        managed_each_path(&all[i].paths, put_path, &t);
    }
    error_set(err, ERR_CONFLICT, "Apply failed with %u conflict%s: %s", paths, paths == 1 ? "" : "s", buf_cstr(&text));
    for (unsigned i = 0; i < count; i++) {
        buf_reset(&text);
        put_manager(&text, all[i].with, k->api_version);
        struct causes c = {err, buf_str(&text)};
        managed_each_path(&all[i].paths, add_cause, &c);
    }
    return ERR_CONFLICT;
}

/* What others own and the apply changes. ERR_CONFLICT, unless it is allowed. */
static int check_conflicts(const struct kind *k, struct arena *a, const struct managed *m,
                           const struct managed_entry *mine, const struct managed_set *changed,
                           const struct managed_set *allowed, struct error *err)
{
    struct conflict *all = arena_alloc(a, (m->count + 1) * sizeof *all);
    unsigned count = 0;
    for (unsigned i = 0; i < m->count; i++) {
        const struct managed_entry *e = &m->entries[i];
        struct managed_set both = managed_intersection(a, &e->set, changed);
        both = allowed == NULL ? both : managed_difference(a, &both, allowed);
        if (e != mine && both.count > 0) {
            all[count++] = (struct conflict){e, both};
        }
    }
    return count == 0 ? 0 : tell_conflicts(k, all, count, err);
}

/* ---- Apply ---- */

static int apply_to(const struct kind *k, struct arena *a, struct managed *m, const struct value *live,
                    const struct value *config, const struct managed_writer *w, bool force,
                    const struct managed_set *allowed, struct value **out, struct error *err)
{
    if (m->count == 0) {
        struct managed_writer first = {STR(MANAGED_FIRST), STR_NONE, w->part, w->now_s};
        struct managed_set all = managed_of(k, a, w->part, live);
        entry_add(a, m, MANAGED_UPDATE, &first)->set = all;
    }
    struct managed_set set = managed_of(k, a, w->part, config), others = {0}, changed, gone;
    struct managed_entry *mine = entry_of(m, MANAGED_APPLY, w);
    mine = mine != NULL ? mine : entry_add(a, m, MANAGED_APPLY, w);
    for (unsigned i = 0; i < m->count; i++) {
        others = &m->entries[i] == mine ? others : managed_union(a, &others, &m->entries[i].set);
    }
    struct value *merged;
    int rc = managed_merge(a, k, live, config, &others, &merged, err);
    if (rc != 0) {
        return rc;
    }
    struct managed_set keep = managed_union(a, &set, &others);
    *out = managed_prune(a, k, w->part, merged, &mine->set, &keep);
    managed_compare(k, a, w->part, live, *out, &changed, &gone);
    rc = force ? 0 : check_conflicts(k, a, m, mine, &changed, allowed, err);
    if (rc != 0) {
        return rc;
    }
    bool same = changed.count == 0 && gone.count == 0 && managed_equal(&mine->set, &set);
    take_from_others(a, m, mine, &changed, &gone);
    mine->set = set;
    mine->time_s = same ? mine->time_s : w->now_s;
    tidy(a, m);
    return 0;
}

int managed_apply(const struct kind *k, struct arena *a, struct managed *m, const struct value *live,
                  const struct value *config, const struct managed_writer *w, bool force,
                  const struct managed_set *allowed, struct value **out, struct error *err)
{
    if (live != NULL) {
        return apply_to(k, a, m, live, config, w, force, allowed, out, err);
    }
    static const struct managed_set nobody;
    *m = (struct managed){0};
    entry_add(a, m, MANAGED_APPLY, w)->set = managed_of(k, a, w->part, config);
    tidy(a, m);
    struct value *empty = value_map(a);
    return managed_merge(a, k, empty, config, &nobody, out, err);
}
