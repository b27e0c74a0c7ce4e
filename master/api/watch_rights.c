#include "master/api/watch_rights.h"

#include "master/auth/access.h"
#include "master/auth/impersonate.h"

void rights_table_init(struct rights_table *t)
{
    *t = (struct rights_table){.generation = 1};
    list_init(&t->judged);
    list_init(&t->waiting);
}

void rights_begin(struct rights_table *t, struct rights *r, const struct principal *who, const struct kind *k,
                  struct str ns, struct str name)
{
    if (access_is_master(who)) {
        return;
    }
    r->who = who->refs > 0 ? principal_ref((struct principal *)(uintptr_t)who) : principal_share(who);
    r->generation = t->generation;
    r->kind = k;
    r->ns = ns;
    r->name = name;
    list_push_back(&t->judged, &r->link);
}

void rights_end(struct rights *r)
{
    if (r->who != NULL) {
        list_remove(&r->link);
        principal_unref(TAKE_PTR(r->who));
    }
}

bool rights_are_of(const struct kind *k)
{
    return k->id == KIND_ROLE || k->id == KIND_CLUSTERROLE || k->id == KIND_ROLEBINDING ||
           k->id == KIND_CLUSTERROLEBINDING;
}

void rights_have_moved(struct rights_table *t)
{
    t->generation++;
    while (!list_empty(&t->judged)) {
        struct list *one = t->judged.next;
        list_remove(one);
        list_push_back(&t->waiting, one);
    }
}

int rights_check(const struct rights_table *t, struct rights *r, const struct view *v, struct error *err)
{
    if (r->who == NULL || r->generation == t->generation) {
        return 0;
    }
    const struct access a = {.verb = STR("watch"),
                             .group = kind_group(r->kind),
                             .resource = str_of(kind_is_unknown(r->kind) ? r->kind->name : r->kind->plural),
                             .ns = r->ns,
                             .name = r->name};
    r->generation = t->generation;
    int rv = r->who->as == NULL ? 0 : impersonate_check(v, r->who, err);
    return rv != 0 ? rv : access_check(v, r->who, &a, err);
}

struct rights *rights_next(struct rights_table *t)
{
    if (list_empty(&t->waiting)) {
        return NULL;
    }
    struct rights *r = LIST_ENTRY(t->waiting.next, struct rights, link);
    list_remove(&r->link);
    list_push_back(&t->judged, &r->link);
    return r;
}
