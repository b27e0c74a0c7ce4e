/* Volumes of a pod: every source the API knows. What cannot be mounted is refused. */
#include "proto/kinds/kinds.h"

/* clang-format off */

#define MOUNT_WHY    "the volume cannot be mounted, and the pod would wait for it for ever"
#define FS_TYPE(...) STRING("fsType", "File system to mount, such as ext4.", ##__VA_ARGS__)
#define READ_ONLY    BOOLEAN("readOnly", "Mount it read-only.", ZERO)
#define SECRET_REF   OBJECT("secretRef", schema_local_reference, "Secret with the credentials.")
#define DEFAULT_MODE INT32("defaultMode", "Permission bits of files without a mode of their own.", DEFAULT("420"))

/* ---- Files from objects ---- */

SCHEMA_STATIC(key_to_path, "KeyToPath", "Puts one entry under a path.",
    STRING("key", "Key of the entry.", REQUIRED),
    STRING("path", "Relative path of the file.", REQUIRED),
    INT32("mode", "Permission bits of this file."));

SCHEMA_STATIC(config_map_volume, "ConfigMapVolumeSource", "Entries of a ConfigMap as files; they follow its changes.",
    STRING("name", "Name of the ConfigMap.", KEY),
    OBJECTS("items", key_to_path, "Which entries, and where; all under their keys if not given."),
    DEFAULT_MODE,
    BOOLEAN("optional", "Go on if the ConfigMap or a key is missing."));

SCHEMA_STATIC(secret_volume, "SecretVolumeSource", "Entries of a Secret as files in memory; they follow its changes.",
    STRING("secretName", "Name of the Secret.", KEY),
    OBJECTS("items", key_to_path, "Which entries, and where; all under their keys if not given."),
    DEFAULT_MODE,
    BOOLEAN("optional", "Go on if the Secret or a key is missing."));

SCHEMA_STATIC(downward_file, "DownwardAPIVolumeFile", "A fact about the pod as a file.",
    STRING("path", "Relative path of the file.", REQUIRED),
    OBJECT("fieldRef", schema_field_selector, "A field of the pod: metadata only."),
    OBJECT("resourceFieldRef", schema_resource_selector, "A request or limit of a container."),
    INT32("mode", "Permission bits of this file."));

SCHEMA_STATIC(downward_volume, "DownwardAPIVolumeSource", "Facts about the pod as files.",
    OBJECTS("items", downward_file, "The files."),
    DEFAULT_MODE);

SCHEMA_STATIC(object_projection, "ConfigMapProjection", "Entries of a ConfigMap or Secret.",
    STRING("name", "Name of the object.", KEY),
    OBJECTS("items", key_to_path, "Which entries, and where; all under their keys if not given."),
    BOOLEAN("optional", "Go on if the object or a key is missing."));

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
    BOOLEAN("optional", "Go on if there is none."),
    STRING("path", "Relative path of the file.", REQUIRED));

SCHEMA_STATIC(projection, "VolumeProjection", "One part of a projected volume; exactly one source.",
    OBJECT("secret", object_projection, "Entries of a Secret."),
    OBJECT("downwardAPI", downward_projection, "Facts about the pod."),
    OBJECT("configMap", object_projection, "Entries of a ConfigMap."),
    OBJECT("serviceAccountToken", token_projection, "A token of the service account.",
           REFUSED("there are no service accounts; the token would be missing")),
    OBJECT("clusterTrustBundle", bundle_projection, "Certificates to trust.",
           REFUSED("there are no trust bundles; the file would be missing")));

SCHEMA_STATIC(projected_volume, "ProjectedVolumeSource", "Several sources in one directory.",
    OBJECTS("sources", projection, "The parts."),
    DEFAULT_MODE);

/* ---- Space on the node, claims, NFS ---- */

SCHEMA_STATIC(empty_dir, "EmptyDirVolumeSource", "An empty directory that lives as long as the pod is on its node.",
    STRING("medium", "Memory for a file system in memory; nothing for the node's disk.",
           REFUSED("huge pages are not given out"), QUIET("Memory")),
    QUANTITY("sizeLimit", "The most it may hold; a pod that goes beyond it on the node's disk is evicted."));

SCHEMA_STATIC(host_path, "HostPathVolumeSource", "A file or directory of the node.",
    STRING("path", "Path on the node.", REQUIRED),
    STRING("type", "What must be there, or is made; nothing for no check.", DEFAULT(""),
           ONE_OF("|DirectoryOrCreate|Directory|FileOrCreate|File|Socket|CharDevice|BlockDevice")));

SCHEMA_STATIC(nfs_volume, "NFSVolumeSource", "A directory of an NFS server.",
    STRING("server", "Name or address of the server.", REQUIRED),
    STRING("path", "Exported path.", REQUIRED),
    READ_ONLY);

SCHEMA_STATIC(claim_volume, "PersistentVolumeClaimVolumeSource", "The volume bound to a claim of the namespace.",
    STRING("claimName", "Name of the claim.", REQUIRED_KEY),
    READ_ONLY);

SCHEMA_STATIC(claim_resources, "VolumeResourceRequirements", "Size of a volume.",
    QUANTITY_MAP("limits", "The most it may have."),
    QUANTITY_MAP("requests", "The least it must have: storage."));

SCHEMA_STATIC(typed_reference, "TypedLocalObjectReference", "An object of any kind in the same namespace.",
    STRING("apiGroup", "Group of the kind; none for the core group."),
    STRING("kind", "Kind of the object.", REQUIRED),
    STRING("name", "Name of the object.", REQUIRED));

SCHEMA_STATIC(typed_reference_ns, "TypedObjectReference", "An object of any kind.",
    STRING("apiGroup", "Group of the kind; none for the core group."),
    STRING("kind", "Kind of the object.", REQUIRED),
    STRING("name", "Name of the object.", REQUIRED),
    STRING("namespace", "Its namespace, if another."));

SCHEMA_STATIC(claim_spec, "PersistentVolumeClaimSpec", "What a claim asks for.",
    STRINGS("accessModes", "How many nodes may mount it, and how.",
            ONE_OF("ReadWriteOnce|ReadOnlyMany|ReadWriteMany|ReadWriteOncePod")),
    OBJECT("selector", schema_label_selector, "Volumes to choose from, by their labels."),
    OBJECT("resources", claim_resources, "Size."),
    STRING("volumeName", "The very volume to bind."),
    STRING("storageClassName", "Class of storage."),
    STRING("volumeMode", "A file system, or a raw block device.", DEFAULT("Filesystem"), ONE_OF("Filesystem|Block")),
    OBJECT("dataSource", typed_reference, "What to fill it with."),
    OBJECT("dataSourceRef", typed_reference_ns, "What to fill it with, of any kind."),
    STRING("volumeAttributesClassName", "Class of attributes that may change later."));

SCHEMA_STATIC(claim_template, "PersistentVolumeClaimTemplate", "A claim to be made for the pod.",
    OBJECT("metadata", schema_object_meta, "Labels and annotations of the claim."),
    OBJECT("spec", claim_spec, "What it asks for.", REQUIRED));

SCHEMA_STATIC(ephemeral_volume, "EphemeralVolumeSource", "A claim that is made with the pod and goes with it.",
    OBJECT("volumeClaimTemplate", claim_template, "The claim."));

SCHEMA_STATIC(csi_volume, "CSIVolumeSource", "A volume that a CSI driver makes for the pod.",
    STRING("driver", "Name of the driver.", REQUIRED),
    READ_ONLY,
    FS_TYPE(),
    STRING_MAP("volumeAttributes", "Settings for the driver."),
    OBJECT("nodePublishSecretRef", schema_local_reference, "Secret handed to the driver."));

/* ---- Devices and services of others ---- */

SCHEMA_STATIC(gce_disk, "GCEPersistentDiskVolumeSource", "A disk of Google's cloud.",
    STRING("pdName", "Name of the disk.", REQUIRED),
    FS_TYPE(),
    INT32("partition", "Partition to mount.", ZERO),
    READ_ONLY);

SCHEMA_STATIC(aws_disk, "AWSElasticBlockStoreVolumeSource", "A disk of Amazon's cloud.",
    STRING("volumeID", "Identity of the disk.", REQUIRED),
    FS_TYPE(),
    INT32("partition", "Partition to mount.", ZERO),
    READ_ONLY);

SCHEMA_STATIC(git_repo, "GitRepoVolumeSource", "A checkout of a git repository. Better: clone in an init container.",
    STRING("repository", "Address of the repository.", REQUIRED),
    STRING("revision", "Commit to check out."),
    STRING("directory", "Directory to check out into."));

SCHEMA_STATIC(iscsi_volume, "ISCSIVolumeSource", "An iSCSI disk.",
    STRING("targetPortal", "Address and port of the target.", REQUIRED),
    STRING("iqn", "Name of the target.", REQUIRED),
    INT32("lun", "Number of the unit.", REQUIRED),
    STRING("iscsiInterface", "Interface of the initiator.", DEFAULT("default")),
    FS_TYPE(),
    READ_ONLY,
    STRINGS("portals", "Further portals."),
    BOOLEAN("chapAuthDiscovery", "Authenticate the discovery.", ZERO),
    BOOLEAN("chapAuthSession", "Authenticate the session.", ZERO),
    SECRET_REF,
    STRING("initiatorName", "Name of the initiator."));

SCHEMA_STATIC(glusterfs_volume, "GlusterfsVolumeSource", "A Gluster volume.",
    STRING("endpoints", "Endpoints object with the servers.", REQUIRED),
    STRING("path", "Name of the volume.", REQUIRED),
    READ_ONLY);

SCHEMA_STATIC(rbd_volume, "RBDVolumeSource", "A Ceph block device.",
    STRINGS("monitors", "Addresses of the monitors.", REQUIRED),
    STRING("image", "Name of the image.", REQUIRED),
    FS_TYPE(),
    STRING("pool", "Pool of the image.", DEFAULT("rbd")),
    STRING("user", "Ceph user.", DEFAULT("admin")),
    STRING("keyring", "Path of the user's key.", DEFAULT("/etc/ceph/keyring")),
    SECRET_REF,
    READ_ONLY);

SCHEMA_STATIC(flex_volume, "FlexVolumeSource", "A volume made by a program on the node.",
    STRING("driver", "Name of the driver.", REQUIRED),
    FS_TYPE(),
    SECRET_REF,
    READ_ONLY,
    STRING_MAP("options", "Settings for the driver."));

SCHEMA_STATIC(cinder_volume, "CinderVolumeSource", "A disk of OpenStack.",
    STRING("volumeID", "Identity of the disk.", REQUIRED),
    FS_TYPE(),
    READ_ONLY,
    SECRET_REF);

SCHEMA_STATIC(cephfs_volume, "CephFSVolumeSource", "A Ceph file system.",
    STRINGS("monitors", "Addresses of the monitors.", REQUIRED),
    STRING("path", "Path inside it."),
    STRING("user", "Ceph user."),
    STRING("secretFile", "Path of the user's key on the node."),
    SECRET_REF,
    READ_ONLY);

SCHEMA_STATIC(flocker_volume, "FlockerVolumeSource", "A Flocker dataset.",
    STRING("datasetName", "Name of the dataset."),
    STRING("datasetUUID", "Identity of the dataset."));

SCHEMA_STATIC(fc_volume, "FCVolumeSource", "A Fibre Channel disk.",
    STRINGS("targetWWNs", "World wide names of the targets."),
    INT32("lun", "Number of the unit."),
    FS_TYPE(),
    READ_ONLY,
    STRINGS("wwids", "World wide identifiers; instead of targetWWNs and lun."));

SCHEMA_STATIC(azure_file, "AzureFileVolumeSource", "A file share of Microsoft's cloud.",
    STRING("secretName", "Secret with the account.", REQUIRED_KEY),
    STRING("shareName", "Name of the share.", REQUIRED),
    READ_ONLY);

SCHEMA_STATIC(azure_disk, "AzureDiskVolumeSource", "A disk of Microsoft's cloud.",
    STRING("diskName", "Name of the disk.", REQUIRED),
    STRING("diskURI", "Address of the disk.", REQUIRED),
    STRING("cachingMode", "Caching on the host.", DEFAULT("ReadWrite"), ONE_OF("None|ReadOnly|ReadWrite")),
    FS_TYPE(DEFAULT("ext4")),
    BOOLEAN("readOnly", "Mount it read-only.", DEFAULT("false")),
    STRING("kind", "How the disk is managed.", DEFAULT("Shared"), ONE_OF("Shared|Dedicated|Managed")));

SCHEMA_STATIC(vsphere_volume, "VsphereVirtualDiskVolumeSource", "A disk of vSphere.",
    STRING("volumePath", "Path of the disk.", REQUIRED),
    FS_TYPE(),
    STRING("storagePolicyName", "Name of the storage policy."),
    STRING("storagePolicyID", "Identity of the storage policy."));

SCHEMA_STATIC(quobyte_volume, "QuobyteVolumeSource", "A Quobyte volume.",
    STRING("registry", "Addresses of the registry.", REQUIRED),
    STRING("volume", "Name of the volume.", REQUIRED),
    READ_ONLY,
    STRING("user", "User to map access to."),
    STRING("group", "Group to map access to."),
    STRING("tenant", "Tenant that owns it."));

SCHEMA_STATIC(photon_disk, "PhotonPersistentDiskVolumeSource", "A disk of Photon.",
    STRING("pdID", "Identity of the disk.", REQUIRED),
    FS_TYPE());

SCHEMA_STATIC(portworx_volume, "PortworxVolumeSource", "A Portworx volume.",
    STRING("volumeID", "Identity of the volume.", REQUIRED),
    FS_TYPE(),
    READ_ONLY);

SCHEMA_STATIC(scaleio_volume, "ScaleIOVolumeSource", "A ScaleIO volume.",
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

SCHEMA_STATIC(storageos_volume, "StorageOSVolumeSource", "A StorageOS volume.",
    STRING("volumeName", "Name of the volume."),
    STRING("volumeNamespace", "Namespace inside StorageOS."),
    FS_TYPE(),
    READ_ONLY,
    SECRET_REF);

SCHEMA_STATIC(image_volume, "ImageVolumeSource", "The files of an image, or of another artifact of a registry.",
    STRING("reference", "Name of the image."),
    STRING("pullPolicy", "When to fetch it. Always for the tag latest, else IfNotPresent.",
           ONE_OF("Always|Never|IfNotPresent")));

/* ---- The volume ---- */

SCHEMA(schema_volume, "Volume", "A directory (or device) that containers of the pod can mount; exactly one source.",
    STRING("name", "Name that volumeMounts refer to; unique in the pod.", REQUIRED),
    OBJECT("hostPath", host_path, "A file or directory of the node."),
    OBJECT("emptyDir", empty_dir, "An empty directory that goes with the pod."),
    OBJECT("gcePersistentDisk", gce_disk, "A disk of Google's cloud.", REFUSED(MOUNT_WHY)),
    OBJECT("awsElasticBlockStore", aws_disk, "A disk of Amazon's cloud.", REFUSED(MOUNT_WHY)),
    OBJECT("gitRepo", git_repo, "A checkout of a git repository.", REFUSED(MOUNT_WHY)),
    OBJECT("secret", secret_volume, "Entries of a Secret as files."),
    OBJECT("nfs", nfs_volume, "A directory of an NFS server.", REFUSED(MOUNT_WHY)),
    OBJECT("iscsi", iscsi_volume, "An iSCSI disk.", REFUSED(MOUNT_WHY)),
    OBJECT("glusterfs", glusterfs_volume, "A Gluster volume.", REFUSED(MOUNT_WHY)),
    OBJECT("persistentVolumeClaim", claim_volume, "The volume bound to a claim.", REFUSED(MOUNT_WHY)),
    OBJECT("rbd", rbd_volume, "A Ceph block device.", REFUSED(MOUNT_WHY)),
    OBJECT("flexVolume", flex_volume, "A volume made by a program on the node.", REFUSED(MOUNT_WHY)),
    OBJECT("cinder", cinder_volume, "A disk of OpenStack.", REFUSED(MOUNT_WHY)),
    OBJECT("cephfs", cephfs_volume, "A Ceph file system.", REFUSED(MOUNT_WHY)),
    OBJECT("flocker", flocker_volume, "A Flocker dataset.", REFUSED(MOUNT_WHY)),
    OBJECT("downwardAPI", downward_volume, "Facts about the pod as files."),
    OBJECT("fc", fc_volume, "A Fibre Channel disk.", REFUSED(MOUNT_WHY)),
    OBJECT("azureFile", azure_file, "A file share of Microsoft's cloud.", REFUSED(MOUNT_WHY)),
    OBJECT("configMap", config_map_volume, "Entries of a ConfigMap as files."),
    OBJECT("vsphereVolume", vsphere_volume, "A disk of vSphere.", REFUSED(MOUNT_WHY)),
    OBJECT("quobyte", quobyte_volume, "A Quobyte volume.", REFUSED(MOUNT_WHY)),
    OBJECT("azureDisk", azure_disk, "A disk of Microsoft's cloud.", REFUSED(MOUNT_WHY)),
    OBJECT("photonPersistentDisk", photon_disk, "A disk of Photon.", REFUSED(MOUNT_WHY)),
    OBJECT("projected", projected_volume, "Several sources in one directory."),
    OBJECT("portworxVolume", portworx_volume, "A Portworx volume.", REFUSED(MOUNT_WHY)),
    OBJECT("scaleIO", scaleio_volume, "A ScaleIO volume.", REFUSED(MOUNT_WHY)),
    OBJECT("storageos", storageos_volume, "A StorageOS volume.", REFUSED(MOUNT_WHY)),
    OBJECT("csi", csi_volume, "A volume made by a CSI driver.", REFUSED(MOUNT_WHY)),
    OBJECT("ephemeral", ephemeral_volume, "A claim made for the pod.", REFUSED(MOUNT_WHY)),
    OBJECT("image", image_volume, "The files of an image, read-only.", REFUSED(MOUNT_WHY)));
