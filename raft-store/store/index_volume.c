/* PersistentVolumes by where they are, and by what they can be given for, and claims that wait for one: what binders,
 * the scheduler and the nodes' feeds ask. */
#include "proto/facts/storage.h"
#include "raft-store/store/index.h"

void index_volume_free_key(struct buf *out, struct str class)
{
    buf_puts(out, "free/");
    buf_append_str(out, class);
}

void index_volume_node_key(struct buf *out, struct str node)
{
    buf_puts(out, "node/");
    buf_append_str(out, node);
}

static void by_volume(const struct object *volume, struct index_keys *out)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    struct str node = object_label(volume, STORAGE_LABEL_NODE), class = storage_class_of(volume);
    if (!storage_has_claim(volume) && class.n <= NAME_KEY_MAX) {
        index_volume_free_key(&key, class);
        index_key(out, buf_str(&key));
    }
    if (node.n > 0) {
        buf_reset(&key);
        index_volume_node_key(&key, node);
        index_key(out, buf_str(&key));
    }
}

const struct index_row index_volume = {.kind = KIND_PERSISTENTVOLUME, .keys = by_volume};

void index_waiting_claim_key(struct buf *out, struct str class)
{
    buf_puts(out, "class/");
    buf_append_str(out, class);
}

static void by_class(const struct object *claim, struct index_keys *out)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    struct str class = storage_class_of(claim);
    if (str_empty(storage_volume_name(claim)) && class.n <= NAME_KEY_MAX) {
        index_waiting_claim_key(&key, class);
        index_key(out, buf_str(&key));
    }
}

const struct index_row index_waiting_claim = {.kind = KIND_PERSISTENTVOLUMECLAIM, .keys = by_class};
