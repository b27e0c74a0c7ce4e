/* Volumes that are not the node's own: disks of clouds, network storage, drivers.
 * Source: Kubernetes v1.29. */
#include <ctype.h>

#include "proto/kinds/volumes.h"

/* clang-format off */

#define FS_TYPE(...) STRING("fsType", "File system to mount, such as ext4.", ##__VA_ARGS__)
#define READ_ONLY    BOOLEAN("readOnly", "Mount it read-only.", ZERO)
#define SECRET_REF(...) OBJECT("secretRef", schema_local_reference, "Secret with the credentials.", ##__VA_ARGS__)

SCHEMA(volume_schema_gce_disk, "GCEPersistentDiskVolumeSource", "A disk of Google's cloud.",
    STRING("pdName", "Name of the disk.", REQUIRED),
    FS_TYPE(),
    INT32("partition", "Partition to mount.", ZERO),
    READ_ONLY);

SCHEMA(volume_schema_aws_disk, "AWSElasticBlockStoreVolumeSource", "A disk of Amazon's cloud.",
    STRING("volumeID", "Identity of the disk.", REQUIRED),
    FS_TYPE(),
    INT32("partition", "Partition to mount.", ZERO),
    READ_ONLY);

SCHEMA(volume_schema_git_repo, "GitRepoVolumeSource",
    "A checkout of a git repository. Better: clone in an init container.",
    STRING("repository", "Address of the repository.", REQUIRED),
    STRING("revision", "Commit to check out."),
    STRING("directory", "Directory to check out into."));

SCHEMA(volume_schema_iscsi, "ISCSIVolumeSource", "An iSCSI disk.",
    STRING("targetPortal", "Address and port of the target.", REQUIRED),
    STRING("iqn", "Name of the target.", REQUIRED),
    INT32("lun", "Number of the unit.", REQUIRED),
    STRING("iscsiInterface", "Interface of the initiator.", DEFAULT("default")),
    FS_TYPE(),
    READ_ONLY,
    STRINGS("portals", "Further portals."),
    BOOLEAN("chapAuthDiscovery", "Authenticate the discovery.", ZERO),
    BOOLEAN("chapAuthSession", "Authenticate the session.", ZERO, NUMBER(11)),
    SECRET_REF(NUMBER(10)),
    STRING("initiatorName", "Name of the initiator.", NUMBER(12)));

SCHEMA(volume_schema_glusterfs, "GlusterfsVolumeSource", "A Gluster volume.",
    STRING("endpoints", "Endpoints object with the servers.", REQUIRED),
    STRING("path", "Name of the volume.", REQUIRED),
    READ_ONLY);

SCHEMA(volume_schema_rbd, "RBDVolumeSource", "A Ceph block device.",
    STRINGS("monitors", "Addresses of the monitors.", REQUIRED),
    STRING("image", "Name of the image.", REQUIRED),
    FS_TYPE(),
    STRING("pool", "Pool of the image.", DEFAULT("rbd")),
    STRING("user", "Ceph user.", DEFAULT("admin")),
    STRING("keyring", "Path of the user's key.", DEFAULT("/etc/ceph/keyring")),
    SECRET_REF(),
    READ_ONLY);

SCHEMA(volume_schema_flex, "FlexVolumeSource", "A volume made by a program on the node.",
    STRING("driver", "Name of the driver.", REQUIRED),
    FS_TYPE(),
    SECRET_REF(),
    READ_ONLY,
    STRING_MAP("options", "Settings for the driver."));

SCHEMA(volume_schema_cinder, "CinderVolumeSource", "A disk of OpenStack.",
    STRING("volumeID", "Identity of the disk.", REQUIRED),
    FS_TYPE(),
    READ_ONLY,
    SECRET_REF());

SCHEMA(volume_schema_cephfs, "CephFSVolumeSource", "A Ceph file system.",
    STRINGS("monitors", "Addresses of the monitors.", REQUIRED),
    STRING("path", "Path inside it."),
    STRING("user", "Ceph user."),
    STRING("secretFile", "Path of the user's key on the node."),
    SECRET_REF(),
    READ_ONLY);

SCHEMA(volume_schema_flocker, "FlockerVolumeSource", "A Flocker dataset.",
    STRING("datasetName", "Name of the dataset."),
    STRING("datasetUUID", "Identity of the dataset."));

SCHEMA(volume_schema_fc, "FCVolumeSource", "A Fibre Channel disk.",
    STRINGS("targetWWNs", "World wide names of the targets."),
    INT32("lun", "Number of the unit."),
    FS_TYPE(),
    READ_ONLY,
    STRINGS("wwids", "World wide identifiers; instead of targetWWNs and lun."));

SCHEMA(volume_schema_azure_file, "AzureFileVolumeSource", "A file share of Microsoft's cloud.",
    STRING("secretName", "Secret with the account.", REQUIRED_KEY),
    STRING("shareName", "Name of the share.", REQUIRED),
    READ_ONLY);

SCHEMA(volume_schema_vsphere, "VsphereVirtualDiskVolumeSource", "A disk of vSphere.",
    STRING("volumePath", "Path of the disk.", REQUIRED),
    FS_TYPE(),
    STRING("storagePolicyName", "Name of the storage policy."),
    STRING("storagePolicyID", "Identity of the storage policy."));

SCHEMA(volume_schema_quobyte, "QuobyteVolumeSource", "A Quobyte volume.",
    STRING("registry", "Addresses of the registry.", REQUIRED),
    STRING("volume", "Name of the volume.", REQUIRED),
    READ_ONLY,
    STRING("user", "User to map access to."),
    STRING("group", "Group to map access to."),
    STRING("tenant", "Tenant that owns it."));

SCHEMA(volume_schema_azure_disk, "AzureDiskVolumeSource", "A disk of Microsoft's cloud.",
    STRING("diskName", "Name of the disk.", REQUIRED),
    STRING("diskURI", "Address of the disk.", REQUIRED),
    STRING("cachingMode", "Caching on the host.", DEFAULT("ReadWrite"), ONE_OF("None|ReadOnly|ReadWrite")),
    FS_TYPE(DEFAULT("ext4")),
    BOOLEAN("readOnly", "Mount it read-only.", DEFAULT("false")),
    STRING("kind", "How the disk is managed.", DEFAULT("Shared"), ONE_OF("Shared|Dedicated|Managed")));

SCHEMA(volume_schema_photon_disk, "PhotonPersistentDiskVolumeSource", "A disk of Photon.",
    STRING("pdID", "Identity of the disk.", REQUIRED),
    FS_TYPE());

SCHEMA(volume_schema_portworx, "PortworxVolumeSource", "A Portworx volume.",
    STRING("volumeID", "Identity of the volume.", REQUIRED),
    FS_TYPE(),
    READ_ONLY);

SCHEMA(volume_schema_scaleio, "ScaleIOVolumeSource", "A ScaleIO volume.",
    STRING("gateway", "Address of the gateway.", REQUIRED),
    STRING("system", "Name of the system.", REQUIRED),
    OBJECT("secretRef", schema_local_reference, "Secret with the credentials.", REQUIRED),
    BOOLEAN("sslEnabled", "Talk to the gateway over TLS.", ZERO),
    STRING("protectionDomain", "Protection domain."),
    STRING("storagePool", "Storage pool."),
    STRING("storageMode", "Thick or thin provisioning.", DEFAULT("ThinProvisioned"),
           ONE_OF("ThickProvisioned|ThinProvisioned")),
    STRING("volumeName", "Name of the volume."),
    FS_TYPE(DEFAULT("xfs")),
    READ_ONLY);

SCHEMA(volume_schema_storageos, "StorageOSVolumeSource", "A StorageOS volume.",
    STRING("volumeName", "Name of the volume."),
    STRING("volumeNamespace", "Namespace inside StorageOS."),
    FS_TYPE(),
    READ_ONLY,
    SECRET_REF());

SCHEMA(volume_schema_csi, "CSIVolumeSource", "A volume that a CSI driver makes for the pod.",
    STRING("driver", "Name of the driver.", REQUIRED),
    BOOLEAN("readOnly", "Mount it read-only."),
    FS_TYPE(),
    STRING_MAP("volumeAttributes", "Settings for the driver."),
    OBJECT("nodePublishSecretRef", schema_local_reference, "Secret handed to the driver."));

/* clang-format on */

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

static void check_partition(const struct value *source, const struct volume_at *where, const struct fpath *p,
                            struct errlist *l)
{
    (void)where;
    check_range(l, value_get(source, "partition"), FPATH_AT(p, "partition"), 0, 255);
}

/* ---- Network storage ---- */

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

static void check_iscsi(const struct value *source, const struct volume_at *where, const struct fpath *p,
                        struct errlist *l)
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
    if (initiator != NULL && where->name.n + 1 + value_to_str(value_get(source, "targetPortal")).n > ISCSI_DEVICE_MAX) {
        bad_value(l, value_str(l->arena, where->name), FPATH_AT(p->up, "name"),
                  "must have at most 64 characters together with iscsi.targetPortal if iscsi.initiatorName is given");
    }
}

static void check_fc(const struct value *source, const struct volume_at *where, const struct fpath *p,
                     struct errlist *l)
{
    (void)where;
    const struct value *names = value_get(source, "targetWWNs"), *lun = value_get(source, "lun");
    bool has_names = value_count(names) > 0, has_ids = value_count(value_get(source, "wwids")) > 0;
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

static void check_quobyte(const struct value *source, const struct volume_at *where, const struct fpath *p,
                          struct errlist *l)
{
    (void)where;
    const struct value *registry = value_get(source, "registry"), *tenant = value_get(source, "tenant");
    if (value_to_str(registry).n > 0 && !is_registry(value_to_str(registry))) {
        bad_value(l, registry, FPATH_AT(p, "registry"), "must be HOST:PORT, or several separated by commas");
    }
    if (value_to_str(tenant).n > QUOBYTE_TENANT_MAX) {
        bad_missing(l, tenant, FPATH_AT(p, "tenant"), "must be a UUID of at most 64 characters");
    }
}

static void check_flocker(const struct value *source, const struct volume_at *where, const struct fpath *p,
                          struct errlist *l)
{
    (void)where;
    const struct value *dataset = value_get(source, "datasetName");
    struct str s = value_to_str(dataset);
    bool by_id = value_to_str(value_get(source, "datasetUUID")).n > 0;
    if (s.n == 0 && !by_id) {
        bad_missing(l, source, p, "one of datasetName and datasetUUID is required");
    } else if (s.n > 0 && by_id) {
        bad_value(l, source, p, "datasetName and datasetUUID can not be specified together");
    }
    if (s.n > 0 && memchr(s.p, '/', s.n) != NULL) {
        bad_value(l, dataset, FPATH_AT(p, "datasetName"), "must not contain '/'");
    }
}

static void check_storageos(const struct value *source, const struct volume_at *where, const struct fpath *p,
                            struct errlist *l)
{
    (void)where;
    const struct value *ns = value_get(source, "volumeNamespace");
    check_dns_label(l, source, value_get(source, "volumeName"), FPATH_AT(p, "volumeName"));
    if (value_to_str(ns).n > 0) {
        check_dns_label(l, source, ns, FPATH_AT(p, "volumeNamespace"));
    }
    need_secret(source, "secretRef", p, l);
}

static void check_scaleio(const struct value *source, const struct volume_at *where, const struct fpath *p,
                          struct errlist *l)
{
    (void)where;
    need(source, "volumeName", p, l);
}

static void check_cinder(const struct value *source, const struct volume_at *where, const struct fpath *p,
                         struct errlist *l)
{
    (void)where;
    need_secret(source, "secretRef", p, l);
}

/* ---- Clouds and drivers ---- */

static void check_azure_disk(const struct value *source, const struct volume_at *where, const struct fpath *p,
                             struct errlist *l)
{
    (void)where;
    const struct value *uri = value_get(source, "diskURI");
    bool managed = str_is(value_to_str(value_get(source, "kind")), "Managed");
    const char *prefix = managed ? "/subscriptions/" : "https://";
    if (value_to_str(uri).n > 0 && !begins(value_to_str(uri), prefix)) {
        bad_choice(
            l, uri, FPATH_AT(p, "diskURI"),
            managed ? "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
                    : "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd");
    }
}

static void check_flex(const struct value *source, const struct volume_at *where, const struct fpath *p,
                       struct errlist *l)
{
    (void)where;
    const struct value *options = value_get(source, "options");
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

static void check_csi(const struct value *source, const struct volume_at *where, const struct fpath *p,
                      struct errlist *l)
{
    (void)where;
    const struct value *driver = value_get(source, "driver"), *ref = value_get(source, "nodePublishSecretRef");
    struct str s = value_to_str(driver);
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

static void check_git(const struct value *source, const struct volume_at *where, const struct fpath *p,
                      struct errlist *l)
{
    (void)where;
    check_descending_path(l, value_get(source, "directory"), FPATH_AT(p, "directory"));
}

/* ---- The rows ---- */

static const struct ref_row secret_ref[] = {{NULL, "secretRef", "name", "Secret", REFERENCE_TARGET, false}};
static const struct ref_row endpoints_ref[] = {{NULL, NULL, "endpoints", "Endpoints", REFERENCE_TARGET, false}};
static const struct ref_row secret_name_ref[] = {{NULL, NULL, "secretName", "Secret", REFERENCE_TARGET, false}};
static const struct ref_row publish_ref[] = {{NULL, "nodePublishSecretRef", "name", "Secret", REFERENCE_TARGET, false}};

const struct volume_source volume_source_gce_disk = {.check = check_partition};
const struct volume_source volume_source_aws_disk = {.check = check_partition};
const struct volume_source volume_source_git_repo = {.check = check_git};
const struct volume_source volume_source_iscsi = {.check = check_iscsi, VOLUME_REFS(secret_ref)};
const struct volume_source volume_source_glusterfs = {VOLUME_REFS(endpoints_ref)};
const struct volume_source volume_source_rbd = {VOLUME_REFS(secret_ref)};
const struct volume_source volume_source_flex = {.check = check_flex, VOLUME_REFS(secret_ref)};
const struct volume_source volume_source_cinder = {.check = check_cinder, VOLUME_REFS(secret_ref)};
const struct volume_source volume_source_cephfs = {VOLUME_REFS(secret_ref)};
const struct volume_source volume_source_flocker = {.check = check_flocker};
const struct volume_source volume_source_fc = {.check = check_fc};
const struct volume_source volume_source_azure_file = {VOLUME_REFS(secret_name_ref)};
const struct volume_source volume_source_vsphere = {0};
const struct volume_source volume_source_quobyte = {.check = check_quobyte};
const struct volume_source volume_source_azure_disk = {.check = check_azure_disk};
const struct volume_source volume_source_photon_disk = {0};
const struct volume_source volume_source_portworx = {0};
const struct volume_source volume_source_scaleio = {.check = check_scaleio, VOLUME_REFS(secret_ref)};
const struct volume_source volume_source_storageos = {.check = check_storageos, VOLUME_REFS(secret_ref)};
const struct volume_source volume_source_csi = {.check = check_csi, VOLUME_REFS(publish_ref)};
