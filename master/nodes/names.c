#include "master/nodes/names.h"

#include "base/mem.h"

static void count(struct names_found *f, const struct usage_node *n, const struct moments *changes)
{
    f->lowest = f->nodes++ == 0 ? n->services_revision : MIN(f->lowest, n->services_revision);
    f->behind_ms = MAX(f->behind_ms, moments_behind_ms(changes, n->services_revision, n->heard_ms));
}

static void begin(struct names_walk *w)
{
    w->now = (struct names_found){0};
    w->cursor = 0;
}

/* Up to so many reports, and not beyond the end of the walk. */
static void walk(struct names_walk *w, const struct usage *u, const struct moments *changes, int64_t now_ms,
                 unsigned most)
{
    struct usage_node n;
    struct str name;
    for (unsigned i = 0; i < most; i++) {
        if (!usage_next(u, &w->cursor, &name)) {
            w->last = w->now;
            begin(w);
            return;
        }
        if (usage_of_node(u, name, now_ms, &n) && n.services_revision > 0) {
            count(&w->now, &n, changes);
        }
    }
}

void names_step(struct names_walk *w, const struct usage *u, const struct moments *changes, int64_t now_ms)
{
    walk(w, u, changes, now_ms, NAMES_STEP);
}

struct names_found names_look(struct names_walk *w, const struct usage *u, const struct moments *changes,
                              int64_t now_ms)
{
    if (usage_count(u) <= NAMES_LOOK) {
        begin(w);
    }
    walk(w, u, changes, now_ms, NAMES_LOOK + 1);
    return w->last;
}
