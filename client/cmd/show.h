/* What get, events and describe share: the order of lists, and how a watch is printed. */
#ifndef CLIENT_CMD_SHOW_H
#define CLIENT_CMD_SHOW_H

#include "client/cmd/rctl.h"
#include "client/cmd/resource.h"
#include "client/ui/print.h"

/* By a path into the objects (--sort-by): numbers and quantities by value, texts as people count ("a2" before "a10"),
 * those without the field first. ERR_USAGE if no object has it. */
int get_sort(struct arena *a, const char *path, struct object **items, unsigned count, struct error *err);
/* Events, oldest first. */
void get_sort_events(struct object **items, unsigned count);

/* "No resources found ...", on stderr. */
void get_note_nothing(struct rctl *r, const struct kind *k);

/* A watch of one kind: what is there when it begins as one table, then each change. */
struct get_watch {
    struct rctl *r;
    struct print_options *o;
    const struct kind *kind;
    bool skip_first;                                    /* only changes */
    bool events;                                        /* say of each what happened */
    bool (*wanted)(const struct object *o, void *data); /* NULL: all */
    void *data;
    /* of cmd/show.c */
    struct api_list first;
    struct print_widths widths;
    bool synced;
    struct error err;
};
/* Until the output is closed or the watch fails; the exit code. */
int get_watch_run(struct get_watch *w, const struct api_list_query *q);

#endif
