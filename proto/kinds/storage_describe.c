/* describe: volumes, claims and classes, as kubectl has them. */
#include <stdio.h>

#include "proto/describe/parts.h"
#include "proto/kinds/storage.h"

#define WIDTH_CLAIM  15
#define WIDTH_VOLUME 17
#define WIDTH_CLASS  23

static struct str path(struct mp m, const char *p)
{
    return mp_str(mp_path(m, p));
}

static void labels_and_annotations(struct buf *out, const struct object *o, unsigned width)
{
    describe_map(out, 0, width, "Labels:", mp_path(object_mp(o), "metadata.labels"), "=");
    describe_map(out, 0, width, "Annotations:", mp_path(object_mp(o), "metadata.annotations"), ": ");
}

/* "[a b]" */
static void finalizers(struct buf *out, const struct object *o, unsigned width)
{
    unsigned n = 0;
    describe_label(out, 0, width, "Finalizers:");
    buf_putc(out, '[');
    for (struct mp_iter it = mp_iter(mp_path(object_mp(o), "metadata.finalizers")); mp_next(&it);) {
        struct str s = mp_str(it.value);
        buf_printf(out, "%s%.*s", n++ > 0 ? " " : "", STR_ARG(s));
    }
    buf_puts(out, "]\n");
}

static void modes(struct buf *out, unsigned width, struct mp list)
{
    describe_label(out, 0, width, "Access Modes:");
    storage_write_modes(out, list);
    buf_putc(out, '\n');
}

static void plain(struct buf *out, unsigned width, const char *label, struct str text)
{
    describe_label(out, 0, width, label);
    buf_append_str(out, text);
    buf_putc(out, '\n');
}

/* A phase, with how long it has been going away. */
static void status(struct buf *out, unsigned width, const struct object *o)
{
    plain(out, width, "Status:", o->deleting ? STR("Terminating") : storage_phase(o));
}

/* ---- Claims ---- */

static void used_by(struct buf *out, const struct describe_list *pods)
{
    if (pods->count == 0) {
        describe_text(out, 0, WIDTH_CLAIM, "Used By:", STR_NONE);
    }
    for (unsigned i = 0; i < pods->count; i++) {
        describe_text(out, 0, WIDTH_CLAIM, i == 0 ? "Used By:" : "", pods->items[i]->name);
    }
}

void claim_describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    struct mp spec = object_spec(o), st = object_status(o);
    bool bound = storage_volume_name(o).n > 0;
    describe_text(out, 0, WIDTH_CLAIM, "Name:", o->name);
    describe_text(out, 0, WIDTH_CLAIM, "Namespace:", o->ns);
    plain(out, WIDTH_CLAIM, "StorageClass:", storage_class_of(o));
    status(out, WIDTH_CLAIM, o);
    plain(out, WIDTH_CLAIM, "Volume:", storage_volume_name(o));
    labels_and_annotations(out, o, WIDTH_CLAIM);
    finalizers(out, o, WIDTH_CLAIM);
    plain(out, WIDTH_CLAIM, "Capacity:", bound ? path(st, "capacity.storage") : STR_NONE);
    modes(out, WIDTH_CLAIM, bound ? mp_get(st, "accessModes") : mp_of(NULL, 0));
    plain(out, WIDTH_CLAIM, "VolumeMode:", path(spec, "volumeMode"));
    used_by(out, &c->related[0]);
    describe_conditions(out, mp_get(st, "conditions"), true);
    describe_events(out, c);
}

/* ---- Volumes ---- */

static void affinity(struct buf *out, struct mp spec)
{
    struct mp required = mp_path(spec, "nodeAffinity.required");
    unsigned n = 0;
    describe_label(out, 0, WIDTH_VOLUME, "Node Affinity:");
    if (mp_type(required) != MP_MAP) {
        buf_puts(out, "<none>\n");
        return;
    }
    buf_puts(out, "\n  Required Terms:  \n");
    for (struct mp_iter it = mp_iter(mp_get(required, "nodeSelectorTerms")); mp_next(&it); n++) {
        char label[24];
        snprintf(label, sizeof label, "Term %u:", n);
        describe_label(out, 2, WIDTH_VOLUME - 4, label);
        unsigned k = 0;
        for (struct mp_iter e = mp_iter(mp_get(it.value, "matchExpressions")); mp_next(&e); k++) {
            struct str key = path(e.value, "key"), op = path(e.value, "operator");
            buf_printf(out, "%s%.*s ", k > 0 ? ", " : "", STR_ARG(key));
            for (size_t i = 0; i < op.n; i++) {
                buf_putc(out, (char)(op.p[i] | 0x20)); /* "in", "notin" */
            }
            buf_puts(out, " [");
            unsigned v = 0;
            for (struct mp_iter w = mp_iter(mp_get(e.value, "values")); mp_next(&w);) {
                struct str s = mp_str(w.value);
                buf_printf(out, "%s%.*s", v++ > 0 ? ", " : "", STR_ARG(s));
            }
            buf_putc(out, ']');
        }
        buf_puts(out, k == 0 ? "<none>\n" : "\n");
    }
}

static void source(struct buf *out, struct mp spec)
{
    struct mp local = mp_get(spec, "local"), host = mp_get(spec, "hostPath"), nfs = mp_get(spec, "nfs");
    buf_puts(out, "Source:\n");
    if (mp_type(local) == MP_MAP) {
        describe_text(out, 2, 7, "Type:", STR("LocalVolume (a persistent volume backed by local storage on a node)"));
        describe_text(out, 2, 7, "Path:", path(local, "path"));
    } else if (mp_type(host) == MP_MAP) {
        describe_text(out, 2, 15, "Type:", STR("HostPath (bare host directory volume)"));
        describe_text(out, 2, 15, "Path:", path(host, "path"));
        plain(out, 0, "    HostPathType:  ", path(host, "type"));
    } else if (mp_type(nfs) == MP_MAP) {
        describe_text(out, 2, 11, "Type:", STR("NFS (an NFS mount that lasts the lifetime of a pod)"));
        describe_text(out, 2, 11, "Server:", path(nfs, "server"));
        describe_text(out, 2, 11, "Path:", path(nfs, "path"));
        describe_text(out, 2, 11, "ReadOnly:", mp_bool(mp_get(nfs, "readOnly"), false) ? STR("true") : STR("false"));
    }
}

void volume_describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    struct mp spec = object_spec(o), ref = mp_get(spec, "claimRef");
    struct str ns = path(ref, "namespace"), name = path(ref, "name");
    describe_text(out, 0, WIDTH_VOLUME, "Name:", o->name);
    labels_and_annotations(out, o, WIDTH_VOLUME);
    finalizers(out, o, WIDTH_VOLUME);
    plain(out, WIDTH_VOLUME, "StorageClass:", storage_class_of(o));
    status(out, WIDTH_VOLUME, o);
    describe_label(out, 0, WIDTH_VOLUME, "Claim:");
    if (mp_type(ref) == MP_MAP) {
        buf_printf(out, "%.*s/%.*s", STR_ARG(ns), STR_ARG(name));
    }
    buf_putc(out, '\n');
    plain(out, WIDTH_VOLUME, "Reclaim Policy:", path(spec, "persistentVolumeReclaimPolicy"));
    modes(out, WIDTH_VOLUME, mp_get(spec, "accessModes"));
    plain(out, WIDTH_VOLUME, "VolumeMode:", path(spec, "volumeMode"));
    plain(out, WIDTH_VOLUME, "Capacity:", path(spec, "capacity.storage"));
    affinity(out, spec);
    plain(out, WIDTH_VOLUME, "Message:", path(object_status(o), "message"));
    source(out, spec);
    describe_events(out, c);
}

/* ---- Classes ---- */

static void pairs(struct buf *out, const char *label, struct mp map)
{
    unsigned n = 0;
    describe_label(out, 0, WIDTH_CLASS, label);
    for (struct mp_iter it = mp_iter(map); mp_next(&it);) {
        struct str v = mp_str(it.value);
        buf_printf(out, "%s%.*s=%.*s", n++ > 0 ? "," : "", STR_ARG(it.key), STR_ARG(v));
    }
    buf_puts(out, n == 0 ? "<none>\n" : "\n");
}

static void mount_options(struct buf *out, struct mp list)
{
    unsigned n = 0;
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        describe_text(out, n == 0 ? 0 : 1, n == 0 ? WIDTH_CLASS : WIDTH_CLASS - DESCRIBE_TAB,
                      n == 0 ? "MountOptions:" : "", mp_str(it.value));
        n++;
    }
    if (n == 0) {
        describe_text(out, 0, WIDTH_CLASS, "MountOptions:", STR_NONE);
    }
}

static void topologies(struct buf *out, struct mp list)
{
    unsigned n = 0;
    if (mp_count(list) == 0) {
        return;
    }
    buf_puts(out, "AllowedTopologies:\n");
    for (struct mp_iter it = mp_iter(list); mp_next(&it); n++) {
        char label[24];
        unsigned k = 0;
        snprintf(label, sizeof label, "Term %u:", n);
        describe_label(out, 1, WIDTH_CLASS - DESCRIBE_TAB, label);
        for (struct mp_iter e = mp_iter(mp_get(it.value, "matchLabelExpressions")); mp_next(&e); k++) {
            struct str key = path(e.value, "key");
            unsigned v = 0;
            buf_printf(out, "%s%.*s in [", k > 0 ? ", " : "", STR_ARG(key));
            for (struct mp_iter w = mp_iter(mp_get(e.value, "values")); mp_next(&w);) {
                struct str s = mp_str(w.value);
                buf_printf(out, "%s%.*s", v++ > 0 ? ", " : "", STR_ARG(s));
            }
            buf_putc(out, ']');
        }
        buf_puts(out, k == 0 ? "<none>\n" : "\n");
    }
}

void class_describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    struct mp m = object_mp(o), grows = mp_get(m, "allowVolumeExpansion");
    describe_text(out, 0, WIDTH_CLASS, "Name:", o->name);
    describe_text(out, 0, WIDTH_CLASS, "IsDefaultClass:", storage_class_is_default(o) ? STR("Yes") : STR("No"));
    pairs(out, "Annotations:", mp_path(m, "metadata.annotations"));
    describe_text(out, 0, WIDTH_CLASS, "Provisioner:", path(m, "provisioner"));
    pairs(out, "Parameters:", mp_get(m, "parameters"));
    describe_text(out, 0, WIDTH_CLASS, "AllowVolumeExpansion:",
                  mp_type(grows) == MP_NONE ? STR("<unset>")
                  : mp_bool(grows, false)   ? STR("True")
                                            : STR("False"));
    mount_options(out, mp_get(m, "mountOptions"));
    describe_text(out, 0, WIDTH_CLASS, "ReclaimPolicy:", path(m, "reclaimPolicy"));
    describe_text(out, 0, WIDTH_CLASS, "VolumeBindingMode:", path(m, "volumeBindingMode"));
    topologies(out, mp_get(m, "allowedTopologies"));
    describe_events(out, c);
}
