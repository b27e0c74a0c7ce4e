/* What the files of this folder share. */
#ifndef AGENT_VOLUME_VOLUME_INT_H
#define AGENT_VOLUME_VOLUME_INT_H

#include "agent/util/aside.h"
#include "agent/volume/volume.h"

struct volume_store {
    uv_loop_t *loop;
    const struct log *log;
    char *dir;
    bool hollow, closing;
    unsigned set_number; /* makes names of sets unique within a millisecond */
    struct aside *aside;
    struct list attachments, removals;
    struct volume_events events;
    void *events_data;
    int64_t mount_ms, remove_ms; /* how long we wait for the kernel */
    unsigned holders;
    void (*close_cb)(void *data);
    void *close_data;
};

/* One component of a path below the store's directory, of a pod, a volume or a mount. */
bool volume_name_is_safe(const char *s);
void volume_path(const struct volume_store *s, const char *uid, const char *name, char path[VOLUME_PATH_MAX]);
void volume_hold(struct volume_store *s);
void volume_release(struct volume_store *s);

/* ---- attach.c ---- */
/* What is being done for the pod is ended as soon as it can be. True: nothing is any more, and it is forgotten. False:
 * attach_ended comes. */
bool attach_end(struct volume_store *s, const char *uid);
void attach_close(struct volume_store *s); /* ends all */

/* ---- remove.c ---- */
void remove_attach_ended(struct volume_store *s, const char *uid);

#endif
