/* Names of images as hashes, sorted: whether a node has a pod's images is asked for each pair of class and node. */
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "scheduler/cache.h"

/* Written out as nodes write it: "nginx" is docker.io/library/nginx:latest (agent/image/image.h). */
static uint64_t name_hash(struct str name)
{
    char text[640];
    const char *slash = memchr(name.p, '/', name.n);
    struct str first = {name.p, slash == NULL ? 0 : (size_t)(slash - name.p)};
    bool host = slash != NULL && (memchr(first.p, '.', first.n) != NULL || memchr(first.p, ':', first.n) != NULL ||
                                  str_is(first, "localhost"));
    bool tagged = false;
    for (size_t i = name.n; i-- > 0 && name.p[i] != '/';) {
        tagged = tagged || name.p[i] == ':' || name.p[i] == '@';
    }
    int n = snprintf(text, sizeof text, "%s%s%.*s%s", host ? "" : "docker.io/", host || slash != NULL ? "" : "library/",
                     STR_ARG(name), tagged ? "" : ":latest");
    return XXH3_64bits(text, MIN((size_t)n, sizeof text - 1));
}

static int by_name(const void *pa, const void *pb)
{
    const struct sched_image *a = pa, *b = pb;
    return (a->name > b->name) - (a->name < b->name);
}

static void add(struct sched_images *to, struct str name, int64_t bytes)
{
    if (to->count < NODE_IMAGES_MAX && !str_empty(name)) {
        to->items = xrealloc(to->items, (to->count + 1) * sizeof *to->items);
        to->items[to->count++] = (struct sched_image){name_hash(name), bytes};
    }
}

static void sort(struct sched_images *i)
{
    if (i->count > 1) {
        qsort(i->items, i->count, sizeof *i->items, by_name);
    }
}

void images_read_node(struct sched_images *to, struct mp images)
{
    for (struct mp_iter it = mp_iter(images); mp_next(&it);) {
        int64_t bytes = mp_int(mp_get(it.value, "sizeBytes"), 0);
        for (struct mp_iter names = mp_iter(mp_get(it.value, "names")); mp_next(&names);) {
            add(to, mp_str(names.value), MAX(0, MIN(bytes, AMOUNT_MAX)));
        }
    }
    sort(to);
}

void images_read_pod(struct sched_images *to, struct mp spec)
{
    for (struct mp_iter it = mp_iter(mp_get(spec, "containers")); mp_next(&it);) {
        add(to, mp_str(mp_get(it.value, "image")), 0);
    }
    sort(to);
}

void images_close(struct sched_images *i)
{
    free(i->items);
    memset(i, 0, sizeof *i);
}

int64_t images_bytes(const struct sched_images *i, uint64_t name)
{
    unsigned low = 0, high = i->count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (i->items[middle].name < name) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < i->count && i->items[low].name == name ? i->items[low].bytes : 0;
}
