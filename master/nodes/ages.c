#include "master/nodes/ages.h"

#include <assert.h>
#include <stdlib.h>

static struct aged *entry_of(struct list *link)
{
    return LIST_ENTRY(link, struct aged, link);
}

void ages_init(struct ages *a, unsigned gone_max, void (*free_entry)(struct aged *e))
{
    *a = (struct ages){.gone_max = gone_max, .free = free_entry};
    strmap_init(&a->by_key);
    list_init(&a->by_age);
}

static void forget(struct ages *a, struct aged *e)
{
    a->gone -= e->gone;
    list_remove(&e->link);
    strmap_remove(&a->by_key, e->key);
    free((char *)e->key.p);
    a->free(e);
}

void ages_close(struct ages *a)
{
    while (!list_empty(&a->by_age)) {
        forget(a, entry_of(a->by_age.next));
    }
    assert(a->by_key.count == 0);
    strmap_close(&a->by_key);
}

struct aged *ages_get(const struct ages *a, struct str key)
{
    return strmap_get(&a->by_key, key);
}

void ages_add(struct ages *a, struct aged *e, struct str key)
{
    e->key = (struct str){xstrndup(key.p, key.n), key.n};
    list_init(&e->link);
    void *former = strmap_set(&a->by_key, e->key, e);
    assert(former == NULL);
    (void)former;
}

static void renew(struct ages *a, struct aged *e)
{
    e->version = ++a->version;
    list_remove(&e->link);
    list_push_back(&a->by_age, &e->link);
}

void ages_touch(struct ages *a, struct aged *e)
{
    a->gone -= e->gone;
    e->gone = false;
    e->seen = true;
    renew(a, e);
}

bool ages_remove(struct ages *a, struct aged *e)
{
    if (e == NULL || e->gone) {
        return false;
    }
    e->gone = true;
    a->gone++;
    renew(a, e);
    for (struct list *it = a->by_age.next; a->gone > a->gone_max;) {
        struct aged *old = entry_of(it);
        it = it->next;
        if (old->gone) {
            assert(old != e);
            a->forgotten = MAX(a->forgotten, old->version);
            forget(a, old);
        }
    }
    return true;
}

void ages_sync_begin(struct ages *a)
{
    LIST_FOR(it, &a->by_age)
    {
        entry_of(it)->seen = false;
    }
}

void ages_sync_end(struct ages *a)
{
    size_t unseen = 0;
    struct aged **gone = xcalloc(a->by_key.count + 1, sizeof *gone);
    LIST_FOR(it, &a->by_age)
    {
        if (!entry_of(it)->seen && !entry_of(it)->gone) {
            gone[unseen++] = entry_of(it);
        }
    }
    for (size_t i = 0; i < unseen; i++) {
        ages_remove(a, gone[i]); /* may forget some that were gone before it, and none behind it */
    }
    free(gone);
}

struct list *ages_behind(struct ages *a, uint64_t since)
{
    struct list *it = a->by_age.prev;
    if (since == 0) {
        return a->by_age.next;
    }
    while (it != &a->by_age && entry_of(it)->version > since) {
        it = it->prev;
    }
    return it->next;
}
