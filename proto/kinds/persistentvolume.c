/* PersistentVolume: a piece of storage that one claim can have. Source: Kubernetes core/v1 PersistentVolume.
 *
 * Its sources are directories of a node (local, hostPath) and of an NFS server; the others are refused. */
#include "proto/kinds/storage.h"
#include "proto/kinds/volumes.h"
#include "proto/schema/release.h"

#define SOURCE_WHY "no node can mount it, and pods would wait for it for ever; local, hostPath and nfs can be mounted"
#define FOREIGN(n) ANY(n, "A volume of others.", REFUSED(SOURCE_WHY), INSIDE(2))

/* clang-format off */
SCHEMA_STATIC(local_source, "LocalVolumeSource", "A directory of one node.",
    STRING("path", "Path on the node.", REQUIRED),
    STRING("fsType", "File system of a block device.", REFUSED(BLOCK_WHY)));

SCHEMA_STATIC(volume_affinity, "VolumeNodeAffinity", "From which nodes the volume can be reached.",
    OBJECT("required", schema_node_selector, "Pods that use the volume run on these nodes alone."));

SCHEMA_STATIC(volume_spec, "PersistentVolumeSpec", "What the volume is.",
    QUANTITY_MAP("capacity", "Its size: storage."),
    FOREIGN("gcePersistentDisk"),
    FOREIGN("awsElasticBlockStore"),
    OBJECT("hostPath", volume_schema_host_path, "A directory of whichever node the pod runs on; for one node, or for "
           "what all nodes have alike.", INSIDE(2)),
    FOREIGN("glusterfs"),
    OBJECT("nfs", volume_schema_nfs, "A directory of an NFS server.", INSIDE(2)),
    FOREIGN("rbd"),
    FOREIGN("iscsi"),
    FOREIGN("cinder"),
    FOREIGN("cephfs"),
    FOREIGN("fc"),
    FOREIGN("flocker"),
    FOREIGN("flexVolume"),
    FOREIGN("azureFile"),
    FOREIGN("vsphereVolume"),
    FOREIGN("quobyte"),
    FOREIGN("azureDisk"),
    FOREIGN("photonPersistentDisk"),
    FOREIGN("portworxVolume"),
    FOREIGN("scaleIO"),
    OBJECT("local", local_source, "A directory of one node, which nodeAffinity names.", INSIDE(2)),
    FOREIGN("storageos"),
    FOREIGN("csi"),
    STRINGS("accessModes", "How many nodes may mount it, and how.", ONE_OF(ACCESS_MODES)),
    OBJECT("claimRef", schema_object_reference, "The claim that has it. Without a uid: the one that is to get it."),
    STRING("persistentVolumeReclaimPolicy", "What becomes of it when its claim is gone. Retain: it is kept until "
           "somebody has looked; Delete: it goes, too.", DEFAULT("Retain"), ONE_OF("Delete|Recycle|Retain"),
           REFUSED("nobody empties volumes for the next claim; use Retain or Delete"), QUIET("Delete|Retain")),
    STRING("storageClassName", "Class that claims ask for."),
    STRINGS("mountOptions", "Options of the mount, such as nfsvers=4.1."),
    STRING("volumeMode", "A file system, or a raw block device.", DEFAULT("Filesystem"), ONE_OF("Filesystem|Block"),
           REFUSED(BLOCK_WHY), QUIET("Filesystem")),
    OBJECT("nodeAffinity", volume_affinity, "From which nodes it can be reached; all if absent. Cannot change once "
           "set."),
    STRING("volumeAttributesClassName", "Class of attributes that may change later.",
           WARNED("volumes have no attributes that change")));

SCHEMA_STATIC(volume_status, "PersistentVolumeStatus", "What is known of the volume.",
    STRING("phase", "Pending, Available, Bound, Released (its claim is gone) or Failed."),
    STRING("message", "Why, for people."),
    STRING("reason", "Why, in one word."),
    TIME("lastPhaseTransitionTime", "When phase last changed."));

SCHEMA_STATIC(volume, "PersistentVolume", "A piece of storage that one claim can have.",
    TYPE_META,
    OBJECT("spec", volume_spec, "What the volume is.", REQUIRED),
    OBJECT("status", volume_status, "What is known of it.", .flags = FIELD_STATUS));
/* clang-format on */

static void volume_begin(struct arena *a, struct value *obj)
{
    value_set(a, value_ensure_map(a, obj, "status"), "phase", value_cstr(a, "Pending"));
}

static void volume_references(const struct object *o, kind_reference_cb *cb, void *data)
{
    struct mp ref = mp_get(object_spec(o), "claimRef");
    struct str ns = mp_str(mp_get(ref, "namespace")), name = mp_str(mp_get(ref, "name")), class = storage_class_of(o);
    if (name_is_key(name) && name_is_key(ns)) {
        const struct kind_reference r = {
            .kind = &kind_persistentvolumeclaim, .ns = ns, .name = name, .use = REFERENCE_TARGET};
        cb(data, &r);
    }
    if (name_is_key(class)) {
        const struct kind_reference r = {.kind = &kind_storageclass, .name = class, .use = REFERENCE_TARGET};
        cb(data, &r);
    }
}

/* ---- Columns ---- */

static struct mp spec_of(const struct object *o, const char *key)
{
    return mp_get(object_spec(o), key);
}

static void cell_capacity(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_append_str(out, mp_str(mp_get(spec_of(o, "capacity"), "storage")));
}

static void cell_modes(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    storage_write_modes(out, spec_of(o, "accessModes"));
}

static void cell_policy(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_append_str(out, mp_str(spec_of(o, "persistentVolumeReclaimPolicy")));
}

static void cell_status(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_append_str(out, o->deleting ? STR("Terminating") : storage_phase(o));
}

static void cell_claim(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    struct mp ref = spec_of(o, "claimRef");
    struct str ns = mp_str(mp_get(ref, "namespace")), name = mp_str(mp_get(ref, "name"));
    if (mp_type(ref) == MP_MAP) {
        buf_printf(out, "%.*s/%.*s", STR_ARG(ns), STR_ARG(name));
    }
}

static void cell_class(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_append_str(out, storage_class_of(o));
}

static void cell_attributes(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    struct str class = mp_str(spec_of(o, "volumeAttributesClassName"));
    buf_append_str(out, class.n > 0 ? class : STR("<unset>"));
}

static void cell_reason(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_append_str(out, mp_str(mp_get(object_status(o), "reason")));
}

static void cell_mode(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    struct str mode = mp_str(spec_of(o, "volumeMode"));
    buf_append_str(out, mode.n > 0 ? mode : STR("<unset>"));
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "CAPACITY", .cell = cell_capacity},
    {.title = "ACCESS MODES", .cell = cell_modes},
    {.title = "RECLAIM POLICY", .cell = cell_policy},
    {.title = "STATUS", .cell = cell_status},
    {.title = "CLAIM", .cell = cell_claim},
    {.title = "STORAGECLASS", .cell = cell_class},
    {.title = "VOLUMEATTRIBUTESCLASS", .cell = cell_attributes},
    {.title = "REASON", .cell = cell_reason},
    {.title = "AGE"},
    {.title = "VOLUMEMODE", .wide = true, .cell = cell_mode},
};

const struct kind kind_persistentvolume = {
    .id = KIND_PERSISTENTVOLUME,
    .since = RELEASE_LEVEL_CARRIED,
    .name = "PersistentVolume",
    .api_version = "v1",
    .plural = "persistentvolumes",
    .singular = "persistentvolume",
    .short_names = "pv",
    .has_status = true,
    .is_content = true,
    .schema = &volume,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = volume_validate,
    .begin = volume_begin,
    .references = volume_references,
    .describe = volume_describe,
    .is_pruned = true,
};
