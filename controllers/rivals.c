#include "controllers/rivals.h"

#include "proto/facts/chooser.h"
#include "raft-store/store/index.h"

struct search {
    const struct view *view;
    struct arena *arena;
    const struct object *self;
    unsigned looks;
    struct rival found;
};

static bool chooses(struct arena *a, const struct object *o, struct mp labels)
{
    struct selector *selector;
    return selector_from_mp(a, chooser_selector(o), &selector, NULL) == 0 && !selector_empty(selector) &&
           selector_matches(selector, labels);
}

/* A ReplicaSet that nobody keeps and that a Deployment will take as its own. */
static bool will_belong(struct arena *a, const struct object *x, const struct object *y)
{
    const struct object *set = x->kind->id == KIND_REPLICASET ? x : y, *deployment = set == x ? y : x;
    return set->kind->id == KIND_REPLICASET && deployment->kind->id == KIND_DEPLOYMENT &&
           chooses(a, deployment, object_labels(set));
}

/* chosen: those under the key could choose the pods of the one that asks; else theirs are chosen. */
static void look(struct search *s, bool chosen, struct str key, struct str value)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    struct view_iter it;
    index_chooser_key(&text, !chosen, s->self->ns, key, value);
    view_iter_index(&it, s->view, VIEW_BY_CHOOSER, buf_str(&text), NULL, STR_NONE);
    VIEW_FOR(o, &it)
    {
        bool self = o->kind == s->self->kind && str_eq(o->name, s->self->name);
        if (s->found.other != NULL || s->looks == RIVALS_LOOKS_MAX) {
            return;
        }
        if (self || o->deleting || will_belong(s->arena, o, s->self)) {
            continue;
        }
        s->looks++;
        if (chosen ? chooses(s->arena, o, chooser_labels(s->self)) : chooses(s->arena, s->self, chooser_labels(o))) {
            s->found = (struct rival){o, chosen};
        }
    }
}

struct rival rival_find(const struct view *v, struct arena *a, const struct object *o)
{
    struct search s = {.view = v, .arena = a, .self = o};
    struct str key, value;
    if (!chooser_is(o) || o->deleting) {
        return s.found;
    }
    if (chooser_pair(o, &key, &value)) {
        look(&s, false, key, value);
    }
    for (struct mp_iter it = mp_iter(chooser_labels(o)); mp_next(&it);) {
        look(&s, true, it.key, mp_str(it.value));
    }
    look(&s, true, STR_NONE, STR_NONE);
    return s.found;
}

bool rival_matters(const struct object *before, const struct object *o)
{
    return chooser_is(o) &&
           (before == NULL || !chooser_is(before) || !mp_equal(chooser_selector(before), chooser_selector(o)) ||
            !mp_equal(chooser_labels(before), chooser_labels(o)));
}

const char *rival_text(struct arena *a, const struct object *o, const struct rival *r)
{
    const struct object *by = r->chosen ? r->other : o, *whose = r->chosen ? o : r->other;
    CLEANUP_BUF struct buf text = BUF_INIT;
    struct selector *selector;
    if (selector_from_mp(a, chooser_selector(by), &selector, NULL) == 0) {
        selector_write(&text, selector);
    }
    return arena_printf(
        a,
        "the selector of %s \"%.*s\" (%s) chooses pods of %s \"%.*s\" as well; give their pods labels that "
        "tell them apart",
        by->kind->singular, STR_ARG(by->name), buf_cstr(&text), whose->kind->singular, STR_ARG(whose->name));
}
