/* Rules for volumes that are not the node's own: disks of clouds, network storage, drivers, and claims made for a pod.
 * Source: Kubernetes v1.29, Volume and PersistentVolumeClaimSpec. */
#include <ctype.h>

#include "proto/kinds/kinds.h"
#include "proto/model/quantity.h"

typedef void source_check(const struct value *source, struct str name, const struct fpath *p, struct errlist *l);

#define CSI_DRIVER_MAX     63u
#define QUOBYTE_TENANT_MAX 64u
#define ISCSI_DEVICE_MAX   64u /* "VOLUME:PORTAL", when the initiator has a name of its own */

static bool begins(struct str s, const char *with)
{
    return str_starts(s, str_of(with));
}

static void need(const struct value *source, const char *name, const struct fpath *p, struct errlist *l)
{
    if (value_to_str(value_get(source, name)).n == 0) {
        bad_required(l, source, FPATH_AT(p, name));
    }
}

/* A reference to a Secret, if there is one, names it. */
static void need_secret(const struct value *source, const char *name, const struct fpath *p, struct errlist *l)
{
    const struct value *ref = value_get(source, name);
    if (ref != NULL) {
        need(ref, "name", FPATH_AT(p, name), l);
    }
}

static void check_partition(const struct value *source, struct str name, const struct fpath *p, struct errlist *l)
{
    (void)name;
    check_range(l, value_get(source, "partition"), FPATH_AT(p, "partition"), 0, 255);
}

/* ---- Network storage ---- */

static void check_nfs(const struct value *source, struct str name, const struct fpath *p, struct errlist *l)
{
    struct str path = value_to_str(value_get(source, "path"));
    (void)name;
    if (path.n > 0 && path.p[0] != '/') {
        bad_value(l, value_get(source, "path"), FPATH_AT(p, "path"), "must be an absolute path");
    }
}

static bool all_alnum(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!isalnum((unsigned char)s.p[i])) {
            return false;
        }
    }
    return true;
}

/* iqn.YYYY-MM.DOMAIN:NAME */
static bool is_iqn(struct str s)
{
    static const char form[] = "iqn.dddd-dd.";
    size_t i = 0;
    for (; form[i] != '\0'; i++) {
        if (i >= s.n || (form[i] == 'd' && i > 3 ? !isdigit((unsigned char)s.p[i]) : s.p[i] != form[i])) {
            return false;
        }
    }
    size_t domain = i;
    while (i < s.n && (isalnum((unsigned char)s.p[i]) || s.p[i] == '-' || s.p[i] == '.')) {
        i++;
    }
    if (i == domain || i + 1 >= s.n || s.p[i] != ':') {
        return false;
    }
    for (i++; i < s.n; i++) {
        if (isspace((unsigned char)s.p[i]) || strchr(",;*&$|", s.p[i]) != NULL) {
            return false;
        }
    }
    return true;
}

static void check_initiator(const struct value *v, const struct fpath *p, struct errlist *l)
{
    struct str s = value_to_str(v);
    if (s.n == 0) {
        return;
    }
    bool good = begins(s, "iqn") ? is_iqn(s)
                                 : (begins(s, "eui.") && s.n == 20 && all_alnum((struct str){s.p + 4, 16})) ||
                                       (begins(s, "naa.") && s.n == 36 && all_alnum((struct str){s.p + 4, 32}));
    if (!good) {
        bad_value(l, v, p, "must be iqn.YYYY-MM.DOMAIN:NAME, eui. and 16 digits, or naa. and 32 digits");
    }
}

static void check_iscsi(const struct value *source, struct str name, const struct fpath *p, struct errlist *l)
{
    const struct value *initiator = value_get(source, "initiatorName");
    bool chap = value_to_bool(value_get(source, "chapAuthDiscovery"), false) ||
                value_to_bool(value_get(source, "chapAuthSession"), false);
    check_initiator(value_get(source, "iqn"), FPATH_AT(p, "iqn"), l);
    check_initiator(initiator, FPATH_AT(p, "initiatorName"), l);
    check_range(l, value_get(source, "lun"), FPATH_AT(p, "lun"), 0, 255);
    if (chap && value_get(source, "secretRef") == NULL) {
        bad_required(l, source, FPATH_AT(p, "secretRef"));
    }
    if (initiator != NULL && name.n + 1 + value_to_str(value_get(source, "targetPortal")).n > ISCSI_DEVICE_MAX) {
        bad_value(l, value_str(l->arena, name), FPATH_AT(p->up, "name"),
                  "must have at most 64 characters together with iscsi.targetPortal if iscsi.initiatorName is given");
    }
}

static void check_fc(const struct value *source, struct str name, const struct fpath *p, struct errlist *l)
{
    const struct value *names = value_get(source, "targetWWNs"), *lun = value_get(source, "lun");
    bool has_names = value_count(names) > 0, has_ids = value_count(value_get(source, "wwids")) > 0;
    (void)name;
    if (!has_names && !has_ids) {
        bad_missing(l, source, FPATH_AT(p, "targetWWNs"), "one of targetWWNs and wwids is required");
    } else if (has_names && has_ids) {
        bad_value(l, names, FPATH_AT(p, "targetWWNs"), "targetWWNs and wwids can not be specified together");
    }
    if (has_names && lun == NULL) {
        bad_missing(l, source, FPATH_AT(p, "lun"), "lun is required if targetWWNs is specified");
    } else if (has_names) {
        check_range(l, lun, FPATH_AT(p, "lun"), 0, 255);
    }
}

/* HOST:PORT[,HOST:PORT...] */
static bool is_registry(struct str s)
{
    for (size_t start = 0, i = 0; i <= s.n; i++) {
        if (i < s.n && s.p[i] != ',') {
            continue;
        }
        struct str pair = {s.p + start, i - start};
        const char *colon = pair.n == 0 ? NULL : memrchr(pair.p, ':', pair.n);
        size_t host = colon == NULL ? 0 : (size_t)(colon - pair.p);
        if (colon == NULL || (pair.p[0] != '[' && memchr(pair.p, ':', host) != NULL)) {
            return false;
        }
        start = i + 1;
    }
    return true;
}

static void check_quobyte(const struct value *source, struct str name, const struct fpath *p, struct errlist *l)
{
    const struct value *registry = value_get(source, "registry"), *tenant = value_get(source, "tenant");
    (void)name;
    if (value_to_str(registry).n > 0 && !is_registry(value_to_str(registry))) {
        bad_value(l, registry, FPATH_AT(p, "registry"), "must be HOST:PORT, or several separated by commas");
    }
    if (value_to_str(tenant).n > QUOBYTE_TENANT_MAX) {
        bad_missing(l, tenant, FPATH_AT(p, "tenant"), "must be a UUID of at most 64 characters");
    }
}

static void check_flocker(const struct value *source, struct str name, const struct fpath *p, struct errlist *l)
{
    const struct value *dataset = value_get(source, "datasetName");
    struct str s = value_to_str(dataset);
    bool by_id = value_to_str(value_get(source, "datasetUUID")).n > 0;
    (void)name;
    if (s.n == 0 && !by_id) {
        bad_missing(l, source, p, "one of datasetName and datasetUUID is required");
    } else if (s.n > 0 && by_id) {
        bad_value(l, source, p, "datasetName and datasetUUID can not be specified together");
    }
    if (s.n > 0 && memchr(s.p, '/', s.n) != NULL) {
        bad_value(l, dataset, FPATH_AT(p, "datasetName"), "must not contain '/'");
    }
}

static void check_storageos(const struct value *source, struct str name, const struct fpath *p, struct errlist *l)
{
    const struct value *ns = value_get(source, "volumeNamespace");
    (void)name;
    check_dns_label(l, source, value_get(source, "volumeName"), FPATH_AT(p, "volumeName"));
    if (value_to_str(ns).n > 0) {
        check_dns_label(l, source, ns, FPATH_AT(p, "volumeNamespace"));
    }
    need_secret(source, "secretRef", p, l);
}

static void check_scaleio(const struct value *source, struct str name, const struct fpath *p, struct errlist *l)
{
    (void)name;
    need(source, "volumeName", p, l);
}

static void check_cinder(const struct value *source, struct str name, const struct fpath *p, struct errlist *l)
{
    (void)name;
    need_secret(source, "secretRef", p, l);
}

/* ---- Clouds and drivers ---- */

static void check_azure_disk(const struct value *source, struct str name, const struct fpath *p, struct errlist *l)
{
    const struct value *uri = value_get(source, "diskURI");
    bool managed = str_is(value_to_str(value_get(source, "kind")), "Managed");
    const char *prefix = managed ? "/subscriptions/" : "https://";
    (void)name;
    if (value_to_str(uri).n > 0 && !begins(value_to_str(uri), prefix)) {
        bad_choice(
            l, uri, FPATH_AT(p, "diskURI"),
            managed ? "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
                    : "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd");
    }
}

static void check_flex(const struct value *source, struct str name, const struct fpath *p, struct errlist *l)
{
    const struct value *options = value_get(source, "options");
    (void)name;
    for (unsigned i = 0; i < value_count(options); i++) {
        struct str key = options->map.members[i].key;
        const char *slash = key.n == 0 ? NULL : memchr(key.p, '/', key.n);
        const char *dotted = arena_printf(l->arena, ".%.*s", slash == NULL ? (int)key.n : (int)(slash - key.p), key.p);
        struct str s = str_of(dotted);
        bool ours = (s.n >= 14 && strcasecmp(s.p + s.n - 14, ".kubernetes.io") == 0) ||
                    (s.n >= 7 && strcasecmp(s.p + s.n - 7, ".k8s.io") == 0);
        if (ours) {
            bad_value(l, value_str(l->arena, key), FPATH_KEY(FPATH_AT(p, "options"), key),
                      "kubernetes.io and k8s.io are reserved");
        }
    }
}

static void check_csi(const struct value *source, struct str name, const struct fpath *p, struct errlist *l)
{
    const struct value *driver = value_get(source, "driver"), *ref = value_get(source, "nodePublishSecretRef");
    struct str s = value_to_str(driver);
    (void)name;
    char *lower = arena_strndup(l->arena, s.n == 0 ? "" : s.p, s.n);
    for (size_t i = 0; i < s.n; i++) {
        lower[i] = (char)tolower((unsigned char)lower[i]);
    }
    if (s.n > CSI_DRIVER_MAX) {
        bad_too_long(l, driver, FPATH_AT(p, "driver"), CSI_DRIVER_MAX);
    } else if (s.n > 0 && !name_is_dns_subdomain((struct str){lower, s.n})) {
        bad_value(l, driver, FPATH_AT(p, "driver"), NAME_SUBDOMAIN_WHY);
    }
    if (ref != NULL) {
        need(ref, "name", FPATH_AT(p, "nodePublishSecretRef"), l);
        check_optional_name(l, ref, "name", FPATH_AT(p, "nodePublishSecretRef"));
    }
}

void foreign_volume_check(struct str source_name, const struct value *source, struct str name, const struct fpath *p,
                          struct errlist *l)
{
    static const struct {
        const char *name;
        source_check *check;
    } rules[] = {
        {"nfs", check_nfs},
        {"iscsi", check_iscsi},
        {"fc", check_fc},
        {"quobyte", check_quobyte},
        {"flocker", check_flocker},
        {"storageos", check_storageos},
        {"scaleIO", check_scaleio},
        {"cinder", check_cinder},
        {"azureDisk", check_azure_disk},
        {"flexVolume", check_flex},
        {"csi", check_csi},
        {"gcePersistentDisk", check_partition},
        {"awsElasticBlockStore", check_partition},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rules); i++) {
        if (str_is(source_name, rules[i].name)) {
            rules[i].check(source, name, p, l);
        }
    }
}

/* ---- Claims made for a pod ---- */

static void check_data_source(const struct value *source, const struct fpath *p, struct errlist *l)
{
    const struct value *group = value_get(source, "apiGroup"), *kind = value_get(source, "kind");
    const struct value *ns = value_get(source, "namespace");
    if (source == NULL) {
        return;
    }
    if (value_to_str(group).n == 0 && value_to_str(kind).n > 0 &&
        !str_is(value_to_str(kind), "PersistentVolumeClaim")) {
        bad_value(l, kind, p, "must be 'PersistentVolumeClaim' when apiGroup is the core group");
    }
    check_optional_name(l, source, "apiGroup", p);
    if (value_to_str(ns).n > 0) {
        check_dns_label(l, source, ns, FPATH_AT(p, "namespace"));
    }
}

static void check_access(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    const struct value *modes = value_get(spec, "accessModes");
    bool one_pod = false;
    VALUE_FOR(i, modes) one_pod = one_pod || str_is(value_to_str(value_item(modes, i)), "ReadWriteOncePod");
    if (value_count(modes) == 0) {
        bad_missing(l, spec, FPATH_AT(p, "accessModes"), "at least 1 access mode is required");
    } else if (one_pod && value_count(modes) > 1) {
        bad_forbidden(l, modes, FPATH_AT(p, "accessModes"), "ReadWriteOncePod may not be used with other access modes");
    }
}

void claim_template_check(const struct value *template, const struct fpath *p, struct errlist *l)
{
    const struct value *meta = value_get(template, "metadata"), *spec = value_get(template, "spec");
    const struct fpath *m = FPATH_AT(p, "metadata"), *at = FPATH_AT(p, "spec");
    check_labels(l, value_get(meta, "labels"), FPATH_AT(m, "labels"));
    check_annotations(l, value_get(meta, "annotations"), FPATH_AT(m, "annotations"));
    for (unsigned i = 0; i < value_count(meta); i++) {
        if (!in_choices(meta->map.members[i].key, "labels|annotations")) {
            bad_forbidden(l, meta->map.members[i].value, FPATH_STR(m, meta->map.members[i].key), "cannot be set");
        }
    }
    if (spec == NULL) {
        return; /* the table has said it */
    }
    const struct value *size = value_get(value_at(spec, "resources", "requests", NULL), "storage");
    const struct fpath *requests = FPATH_AT(FPATH_AT(at, "resources"), "requests");
    check_access(spec, at, l);
    check_label_selector(l, value_get(spec, "selector"), FPATH_AT(at, "selector"));
    if (size == NULL) {
        bad_required(l, spec, FPATH_KEY(requests, STR("storage")));
    } else if (quantity_cmp(value_to_str(size), STR("0")) <= 0) {
        bad_value(l, size, FPATH_KEY(requests, STR("storage")), "must be greater than zero");
    }
    check_optional_name(l, spec, "storageClassName", at);
    check_data_source(value_get(spec, "dataSource"), FPATH_AT(at, "dataSource"), l);
    check_data_source(value_get(spec, "dataSourceRef"), FPATH_AT(at, "dataSourceRef"), l);
}
