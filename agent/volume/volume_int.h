/* What the files of this folder share. */
#ifndef AGENT_VOLUME_VOLUME_INT_H
#define AGENT_VOLUME_VOLUME_INT_H

#include "agent/volume/volume.h"

struct volume_store {
    uv_loop_t *loop;
    const struct log *log;
    char *dir;
    bool hollow, closing;
    unsigned set_number; /* makes names of sets unique within a millisecond */
    unsigned holders;
    void (*close_cb)(void *data);
    void *close_data;
};

/* One component of a path below the store's directory, of a pod, a volume or a mount. */
bool volume_name_is_safe(const char *s);

#endif
