/* Volumes that are files made of objects and of facts about the pod: configMap, secret, downwardAPI, projected. */
#include "base/strmap.h"
#include "proto/kinds/volumes.h"

/* clang-format off */

#define DEFAULT_MODE INT32("defaultMode", "Permission bits of files without a mode of their own.", DEFAULT("420"))

SCHEMA_STATIC(key_to_path, "KeyToPath", "Puts one entry under a path.",
    STRING("key", "Key of the entry.", REQUIRED),
    STRING("path", "Relative path of the file.", REQUIRED),
    INT32("mode", "Permission bits of this file."));

SCHEMA(volume_schema_config_map, "ConfigMapVolumeSource", "Entries of a ConfigMap as files; they follow its changes.",
    STRING("name", "Name of the ConfigMap.", KEY, INSIDE(1)),
    OBJECTS("items", key_to_path, "Which entries, and where; all under their keys if not given."),
    DEFAULT_MODE,
    BOOLEAN("optional", "Go on if the ConfigMap or a key is missing."));

SCHEMA(volume_schema_secret, "SecretVolumeSource", "Entries of a Secret as files in memory; they follow its changes.",
    STRING("secretName", "Name of the Secret.", KEY),
    OBJECTS("items", key_to_path, "Which entries, and where; all under their keys if not given."),
    DEFAULT_MODE,
    BOOLEAN("optional", "Go on if the Secret or a key is missing."));

SCHEMA_STATIC(downward_file, "DownwardAPIVolumeFile", "A fact about the pod as a file.",
    STRING("path", "Relative path of the file.", REQUIRED),
    OBJECT("fieldRef", schema_field_selector, "A field of the pod: metadata only."),
    OBJECT("resourceFieldRef", schema_resource_selector, "A request or limit of a container."),
    INT32("mode", "Permission bits of this file."));

SCHEMA(volume_schema_downward, "DownwardAPIVolumeSource", "Facts about the pod as files.",
    OBJECTS("items", downward_file, "The files."),
    DEFAULT_MODE);

SCHEMA_STATIC(object_projection, "ConfigMapProjection", "Entries of a ConfigMap or Secret.",
    STRING("name", "Name of the object.", KEY, INSIDE(1)),
    OBJECTS("items", key_to_path, "Which entries, and where; all under their keys if not given."),
    BOOLEAN("optional", "Go on if the object or a key is missing.", NUMBER(4)));

SCHEMA_STATIC(downward_projection, "DownwardAPIProjection", "Facts about the pod.",
    OBJECTS("items", downward_file, "The files."));

SCHEMA_STATIC(token_projection, "ServiceAccountTokenProjection", "A token of the pod's service account.",
    STRING("audience", "Who the token is for."),
    INT64("expirationSeconds", "How long it is valid; it is renewed in time.", DEFAULT("3600")),
    STRING("path", "Relative path of the file.", REQUIRED));

SCHEMA_STATIC(bundle_projection, "ClusterTrustBundleProjection", "Certificates to trust.",
    STRING("name", "One bundle by name."),
    STRING("signerName", "Or all bundles of a signer."),
    OBJECT("labelSelector", schema_label_selector, "Which of the signer's bundles."),
    BOOLEAN("optional", "Go on if there is none.", NUMBER(5)),
    STRING("path", "Relative path of the file.", REQUIRED, NUMBER(4)));

SCHEMA_STATIC(projection, "VolumeProjection", "One part of a projected volume; exactly one source.",
    OBJECT("secret", object_projection, "Entries of a Secret."),
    OBJECT("downwardAPI", downward_projection, "Facts about the pod."),
    OBJECT("configMap", object_projection, "Entries of a ConfigMap."),
    OBJECT("serviceAccountToken", token_projection, "A token of the service account."),
    OBJECT("clusterTrustBundle", bundle_projection, "Certificates to trust.",
           REFUSED("there are no trust bundles; the file would be missing")));

SCHEMA(volume_schema_projected, "ProjectedVolumeSource", "Several sources in one directory.",
    OBJECTS("sources", projection, "The parts."),
    DEFAULT_MODE);

/* clang-format on */

static void check_items(const struct value *source, const struct fpath *p, struct errlist *l)
{
    const struct value *items = value_get(source, "items");
    volume_check_mode(value_get(source, "defaultMode"), FPATH_AT(p, "defaultMode"), l);
    VALUE_FOR(i, items)
    {
        const struct value *item = value_item(items, i);
        const struct fpath *at = FPATH_ITEM(FPATH_AT(p, "items"), i);
        check_relative_path(l, value_get(item, "path"), FPATH_AT(at, "path"));
        volume_check_mode(value_get(item, "mode"), FPATH_AT(at, "mode"), l);
    }
}

static void check_named_items(const struct value *source, const char *name, const struct fpath *p, struct errlist *l)
{
    if (value_to_str(value_get(source, name)).n == 0) {
        bad_required(l, source, FPATH_AT(p, name));
    }
    check_items(source, p, l);
}

static void check_config_map(const struct value *source, const struct volume_at *where, const struct fpath *p,
                             struct errlist *l)
{
    (void)where;
    check_named_items(source, "name", p, l);
}

static void check_secret(const struct value *source, const struct volume_at *where, const struct fpath *p,
                         struct errlist *l)
{
    (void)where;
    check_named_items(source, "secretName", p, l);
}

static void check_downward(const struct value *source, const struct volume_at *where, const struct fpath *p,
                           struct errlist *l)
{
    (void)where;
    const struct value *items = value_get(source, "items");
    volume_check_mode(value_get(source, "defaultMode"), FPATH_AT(p, "defaultMode"), l);
    VALUE_FOR(i, items)
    {
        const struct value *item = value_item(items, i);
        const struct value *field = value_get(item, "fieldRef"), *resource = value_get(item, "resourceFieldRef");
        const struct fpath *at = FPATH_ITEM(FPATH_AT(p, "items"), i);
        check_relative_path(l, value_get(item, "path"), FPATH_AT(at, "path"));
        volume_check_mode(value_get(item, "mode"), FPATH_AT(at, "mode"), l);
        if (field == NULL && resource == NULL) {
            bad_missing(l, item, at, "one of fieldRef and resourceFieldRef is required");
        } else if (field != NULL && resource != NULL) {
            bad_value(l, item, at, "fieldRef and resourceFieldRef can not be specified together");
        } else if (field != NULL) {
            check_field_ref(l, field, FPATH_AT(at, "fieldRef"), true);
        } else {
            check_resource_ref(l, resource, FPATH_AT(at, "resourceFieldRef"), true);
        }
    }
}

static void check_token(const struct value *source, const struct volume_at *where, const struct fpath *p,
                        struct errlist *l)
{
    (void)where;
    check_range(l, value_get(source, "expirationSeconds"), FPATH_AT(p, "expirationSeconds"), 600, 1ll << 32);
    check_relative_path(l, value_get(source, "path"), FPATH_AT(p, "path"));
}

static void check_bundle(const struct value *source, const struct volume_at *where, const struct fpath *p,
                         struct errlist *l)
{
    (void)where;
    const struct value *name = value_get(source, "name"), *signer = value_get(source, "signerName");
    const struct value *selector = value_get(source, "labelSelector");
    check_relative_path(l, value_get(source, "path"), FPATH_AT(p, "path"));
    check_label_selector(l, selector, FPATH_AT(p, "labelSelector"));
    if (name != NULL && signer != NULL) {
        bad_value(l, source, p, "only one of name and signerName may be used");
    } else if (name == NULL && signer == NULL) {
        bad_missing(l, source, p, "one of name and signerName is required");
    } else if (name != NULL && selector != NULL) {
        bad_value(l, selector, FPATH_AT(p, "labelSelector"), "must not be set if name is");
    }
}

/* Two files under one path, in whichever of the sources. */
static void check_conflicts(const struct value *sources, const struct fpath *p, struct errlist *l)
{
    struct strmap seen;
    strmap_init(&seen);
    VALUE_FOR(i, sources)
    {
        const struct value *v = value_item(sources, i);
        for (unsigned k = 0; k < value_count(v); k++) {
            const struct value *source = v->map.members[k].value, *items = value_get(source, "items");
            bool bundle = str_is(v->map.members[k].key, "clusterTrustBundle");
            for (unsigned j = bundle ? 0 : 1; j < value_count(items) + 1; j++) {
                struct value *path = value_get(j == 0 ? source : value_item(items, j - 1), "path");
                if (value_to_str(path).n > 0 && strmap_set(&seen, value_to_str(path), path) != NULL) {
                    bad_value(l, path, p, "conflicting duplicate paths");
                }
            }
        }
    }
    strmap_close(&seen);
}

static void check_projected(const struct value *source, const struct volume_at *where, const struct fpath *p,
                            struct errlist *l)
{
    static const struct volume_source token = {.check = check_token}, bundle = {.check = check_bundle};
    static const struct volume_source object = {.check = check_config_map}, downward = {.check = check_downward};
    static const struct volume_part parts[] = {{"configMap", &object},
                                               {"secret", &object},
                                               {"downwardAPI", &downward},
                                               {"serviceAccountToken", &token},
                                               {"clusterTrustBundle", &bundle}};
    const struct value *sources = value_get(source, "sources");
    volume_check_mode(value_get(source, "defaultMode"), FPATH_AT(p, "defaultMode"), l);
    VALUE_FOR(i, sources)
    {
        volume_check_one(value_item(sources, i), parts, ARRAY_SIZE(parts), false, where,
                         FPATH_ITEM(FPATH_AT(p, "sources"), i), "volume type per source", l);
    }
    check_conflicts(sources, FPATH_AT(p, "sources"), l);
}

static const struct ref_row config_map_refs[] = {{NULL, NULL, "name", "ConfigMap", REFERENCE_CONTENT, false}};
static const struct ref_row secret_refs[] = {{NULL, NULL, "secretName", "Secret", REFERENCE_CONTENT, false}};
static const struct ref_row projected_refs[] = {
    {"configMap", NULL, "name", "ConfigMap", REFERENCE_CONTENT, false},
    {"secret", NULL, "name", "Secret", REFERENCE_CONTENT, false},
    {"clusterTrustBundle", NULL, "name", "ClusterTrustBundle", REFERENCE_TARGET, false}};

const struct volume_source volume_source_config_map = {
    .check = check_config_map,
    VOLUME_REFS(config_map_refs),
};
const struct volume_source volume_source_secret = {
    .check = check_secret,
    VOLUME_REFS(secret_refs),
};
const struct volume_source volume_source_downward = {
    .check = check_downward,
};
const struct volume_source volume_source_projected = {
    .check = check_projected,
    VOLUME_REFS(projected_refs),
    .parts = "sources",
};
