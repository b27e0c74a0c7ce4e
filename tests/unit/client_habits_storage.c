/* kubectl's habits with volumes: what people type to make and to look at them, each line with what must come of it. */
#include "tests/unit/kit/habits.h"

static int set_up(void **state)
{
    return habits_set_up(state, 1,
                         "rctl run user --image=x --overrides='{spec: {volumes: [{name: d, "
                         "persistentVolumeClaim: {claimName: data}}]}}'",
                         NULL);
}

static void volumes_are_made_bound_and_shown(void **state)
{
    static const struct habit rows[] = {
        {"rctl get sc | tr -s ' '", NULL, 0,
         "NAME PROVISIONER RECLAIMPOLICY VOLUMEBINDINGMODE ALLOWVOLUMEEXPANSION AGE\n"
         "local (default) reeve.io/local Delete WaitForFirstConsumer true",
         "="},
        {"rctl get pv,pvc", NULL, 0, "=", "No resources found"},
        {"rctl apply -f -",
         "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: disks}\n"
         "provisioner: kubernetes.io/no-provisioner\n---\n"
         "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: disk}\nspec: {capacity: {storage: 2Gi}, "
         "accessModes: [ReadWriteOnce, ReadOnlyMany], storageClassName: disks, nfs: {server: files, path: /a}}\n---\n"
         "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec: {accessModes: [ReadWriteOnce], "
         "storageClassName: disks, resources: {requests: {storage: 1Gi}}}\n",
         0,
         "storageclass.storage.k8s.io/disks created\npersistentvolume/disk created\n"
         "persistentvolumeclaim/data created\n",
         "="},
        {"rctl wait --for=jsonpath='{.status.phase}'=Bound pvc/data --timeout=60s", NULL, 0, ""},
        {"rctl get pv | tr -s ' '", NULL, 0,
         "NAME CAPACITY ACCESS MODES RECLAIM POLICY STATUS CLAIM STORAGECLASS VOLUMEATTRIBUTESCLASS REASON AGE\n"
         "disk 2Gi RWO,ROX Retain Bound default/data disks <unset>",
         "="},
        {"rctl get pvc -o wide | tr -s ' '", NULL, 0,
         "NAME STATUS VOLUME CAPACITY ACCESS MODES STORAGECLASS VOLUMEATTRIBUTESCLASS AGE VOLUMEMODE\n"
         "data Bound disk 2Gi RWO,ROX disks <unset>\n Filesystem",
         "="},
        {"rctl get pv,pvc,sc -o name", NULL, 0,
         "=persistentvolume/disk\npersistentvolumeclaim/data\nstorageclass.storage.k8s.io/disks\n"
         "storageclass.storage.k8s.io/local\n",
         "="},
        {"rctl get all -o name", NULL, 0, "pod/user\n!persistentvolume", "="},
        {"rctl describe pvc data | tr -s ' '", NULL, 0,
         "Name: data\nNamespace: default\nStorageClass: disks\nStatus: Bound\nVolume: disk\nLabels: <none>\n"
         "Finalizers: [kubernetes.io/pvc-protection]\nCapacity: 2Gi\nAccess Modes: RWO,ROX\nVolumeMode: Filesystem\n"
         "Used By: user\n",
         "="},
        {"rctl describe pv disk | tr -s ' '", NULL, 0,
         "Finalizers: [kubernetes.io/pv-protection]\nStatus: Bound\nClaim: default/data\nReclaim Policy: Retain\n"
         "Access Modes: RWO,ROX\nCapacity: 2Gi\nNode Affinity: <none>\nSource:\n"
         " Type: NFS (an NFS mount that lasts the lifetime of a pod)\n Server: files\n Path: /a\n ReadOnly: false\n",
         "="},
        {"rctl describe sc local | tr -s ' '", NULL, 0,
         "IsDefaultClass: Yes\nProvisioner: reeve.io/local\nParameters: <none>\nAllowVolumeExpansion: True\n"
         "MountOptions: <none>\nReclaimPolicy: Delete\nVolumeBindingMode: WaitForFirstConsumer\nEvents: <none>\n",
         "="},
        {"rctl explain pvc.spec.resources", NULL, 0, "requests", "="},
        {"rctl explain sc.volumeBindingMode", NULL, 0, "WaitForFirstConsumer", "="},
        {"rctl explain pv.spec.csi", NULL, 0, "no node can mount it", "="},
        {"rctl create -f -",
         "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: cloud}\nspec: {capacity: {storage: 2Gi}, "
         "accessModes: [ReadWriteOnce], csi: {driver: d, volumeHandle: h}}\n",
         1, "=", "spec.csi: Forbidden: not carried out yet: no node can mount it"},
        {"rctl patch pvc data --patch '{spec: {resources: {requests: {storage: 3Gi}}}}'", NULL, 6, "=",
         "only dynamically provisioned pvc can be resized"},
        {"rctl patch pvc data --patch '{spec: {accessModes: [ReadWriteMany]}}'", NULL, 1, "=",
         "spec is immutable after creation"},
        {"rctl patch pv disk --patch '{spec: {nfs: {path: /b}}}'", NULL, 1, "=",
         "spec.persistentvolumesource is immutable after creation"},
        {"rctl apply --dry-run=server -f -",
         "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: dry}\nspec: {accessModes: [ReadWriteOnce], "
         "resources: {requests: {storage: 1Gi}}}\n",
         0, "persistentvolumeclaim/dry created (server dry run)", "="},
        {"rctl get pvc dry", NULL, 5, "=", "not found"},
        /* nobody is told to take away what keeps the data of a running pod */
        {"rctl delete pvc data --timeout=1s", NULL, HABIT_ANY, "persistentvolumeclaim \"data\" deleted",
         "stays while pods use it (rctl describe pvc data names them)\ntimed out waiting for the condition: it stays "
         "while pods use it\n!finalizers"},
        {"rctl delete pvc data --wait=false", NULL, 0, "persistentvolumeclaim \"data\" deleted", "="},
        {"rctl get pvc data | tr -s ' '", NULL, 0, "data Terminating disk 2Gi RWO,ROX disks", "="},
        {"rctl delete pod user --grace-period=0 --force", NULL, 0, "pod \"user\" force deleted"},
        {"rctl wait --for=jsonpath='{.status.phase}'=Released pv/disk --timeout=60s", NULL, 0, ""},
        {"rctl get pv disk | tr -s ' '", NULL, 0, "disk 2Gi RWO,ROX Retain Released default/data disks", "="},
        {"rctl delete pv disk --timeout=60s", NULL, 0, "persistentvolume \"disk\" deleted", "="},
    };
    RUN(rows);
}

static void a_claim_says_why_it_waits(void **state)
{
    static const struct habit rows[] = {
        {"rctl apply -f -",
         "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: later}\nspec: {accessModes: [ReadWriteOnce], "
         "resources: {requests: {storage: 1Gi}}}\n",
         0, "persistentvolumeclaim/later created", "="},
        {"rctl get pvc later | tr -s ' '", NULL, 0, "later Pending local <unset>", "="},
        {"rctl wait --for=jsonpath='{.spec.storageClassName}'=local pvc/later --timeout=60s", NULL, 0, ""},
        {"for i in $(seq 600); do rctl describe pvc later | grep WaitForFirstConsumer && break; done", NULL, 0,
         "waiting for first consumer to be created before binding", "="},
        {"rctl run p --image=x --overrides='{spec: {volumes: [{name: d, persistentVolumeClaim: {claimName: "
         "nosuch}}]}}'",
         NULL, 0, ""},
        {"rctl describe pod p | tr -s ' '", NULL, 0, "ClaimName: nosuch\nReadOnly: false", "="},
    };
    RUN(rows);
}

static void a_claim_comes_and_goes_with_its_pod(void **state)
{
    static const struct habit rows[] = {
        {"rctl run own --image=x --overrides='{spec: {volumes: [{name: d, ephemeral: {volumeClaimTemplate: {metadata: "
         "{labels: {of: own}}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}}}]}}'",
         NULL, 0, "=pod/own created\n", "="},
        {"rctl wait --for=condition=Ready pod/own --timeout=60s", NULL, 0},
        {"rctl get pvc -l of=own | tr -s ' '", NULL, 0, "own-d Bound pvc-"},
        {"rctl get pvc own-d -o jsonpath='{.metadata.ownerReferences[*].name} {.spec.storageClassName}'", NULL, 0,
         "=own local", "="},
        {"rctl describe pod own | tr -s ' '", NULL, 0,
         "Type: EphemeralVolume (an inline specification for a volume that gets created and deleted with the pod)\n"
         "Labels: of=own\nCapacity: 1Gi\nAccess Modes: RWO\nVolumeMode: Filesystem",
         "="},
        {"rctl describe pvc own-d | tr -s ' '", NULL, 0, "Used By: own", "="},
        {"rctl delete pod own --now && rctl wait --for=delete pvc/own-d --timeout=60s", NULL, 0},
        {"rctl get pvc own-d", NULL, 5, "=", "not found"},
    };
    RUN(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(volumes_are_made_bound_and_shown),
        cmocka_unit_test(a_claim_says_why_it_waits),
        cmocka_unit_test(a_claim_comes_and_goes_with_its_pod),
    };
    return cmocka_run_group_tests(tests, set_up, habits_tear_down);
}
