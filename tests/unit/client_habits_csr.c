/* Certificates by CertificateSigningRequest, as people type it to kubectl and rctl: asked for, approved, used, denied,
 * revoked. */
#include "tests/unit/kit/habits.h"

#define K    "KUBECONFIG=kube ${KUBECTL:-kubectl} "
#define KATE "KUBECONFIG=kubek ${KUBECTL:-kubectl} "

/* "ask NAME SUBJECT SIGNER USAGES [MORE]": NAME.key, NAME.csr, and NAME.yaml with the request. */
static const char ask[] = "#!/bin/sh -e\n"
                          "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $1.key 2>/dev/null\n"
                          "openssl req -new -key $1.key -subj \"$2\" -out $1.csr\n"
                          "cat >$1.yaml <<END\n"
                          "{apiVersion: certificates.k8s.io/v1, kind: CertificateSigningRequest, metadata: {name: $1}, "
                          "spec: {signerName: $3,\n"
                          "  usages: [$4], request: $(base64 -w0 <$1.csr)$5}}\n"
                          "END\n";

static int set_up(void **state)
{
    int rv = habits_set_up(state, 1, "rctl config kubeconfig -f kube >said", NULL);
    struct habits *h = *state;
    habits_file(h, "ask", ask);
    habits_must(
        h,
        "chmod 755 ask && ./ask kate /O=dev/CN=kate kubernetes.io/kube-apiserver-client 'client auth' && "
        "./ask paul /CN=paul kubernetes.io/kube-apiserver-client 'client auth' ', expirationSeconds: 600' && "
        "./ask tim /CN=tim kubernetes.io/kube-apiserver-client 'client auth, server auth' && "
        "./ask n1 /O=system:nodes/CN=system:node:n1 kubernetes.io/kubelet-serving 'server auth' && "
        "./ask crowd \"$(for i in $(seq 30); do printf /O=g$i; done)/CN=a/CN=b\" example.com/web 'client auth' && "
        "./ask boss /O=system:masters/CN=boss kubernetes.io/kube-apiserver-client 'client auth' && "
        "sed 's/request: .*}}/request: aGVsbG8K}}/' kate.yaml >bad.yaml",
        NULL);
    return rv;
}

static void a_user_gets_a_certificate_with_kubectl(void **state)
{
    static const struct habit asks[] = {
        {K "create -f kate.yaml", NULL, 0, "=certificatesigningrequest.certificates.k8s.io/kate created\n", "="},
        {K "get csr | tr -s ' '", NULL, 0,
         "NAME AGE SIGNERNAME REQUESTOR\nkubernetes.io/kube-apiserver-client admin\nPending", "="},
        {K "describe csr kate | tr -s ' '", NULL, 0,
         "Requesting User: admin\nSigner: kubernetes.io/kube-apiserver-client\nStatus: Pending\nSubject:\n Common "
         "Name: "
         "kate\n Organization: dev",
         "="},
        {"rctl describe csr kate | tr -s ' '", NULL, 0,
         "Requesting User: admin\nSigner: kubernetes.io/kube-apiserver-client\nStatus: Pending\nSubject:\n Common "
         "Name: "
         "kate\n Organization: dev\n",
         "="},
        {K "create -f boss.yaml", NULL, 1, "=",
         "forbidden\nuse of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"},
        {K "create --validate=false -f bad.yaml", NULL, 1, "=", "spec.request: Invalid value: PEM block type must be"},
        {K "certificate approve kate", NULL, 0, "certificatesigningrequest.certificates.k8s.io/kate approved", "="},
    };
    RUN(asks);
    habits_until(*state, K "get csr kate -o jsonpath={.status.certificate} | base64 -d >kate.crt && [ -s kate.crt ]");
    static const struct habit uses[] = {
        {"openssl x509 -in kate.crt -noout -subject -ext extendedKeyUsage", NULL, 0,
         "O = dev, CN = kate\nTLS Web Client Authentication", "="},
        {K "get csr kate --no-headers", NULL, 0, "Approved,Issued", "="},
        {"cp kube kubek && " KATE "config set-credentials kate --client-certificate=kate.crt --client-key=kate.key",
         NULL, 0, "User \"kate\" set.", "="},
        {KATE "config set-context --current --user=kate", NULL, 0, "modified", "="},
        {KATE "get pods", NULL, 1, "=", "User \"kate\" cannot list resource \"pods\""},
        {KATE "auth can-i create selfsubjectaccessreviews", NULL, 0, "yes", NULL},
        {KATE "certificate approve kate --force", NULL, 1, NULL, "User \"kate\" cannot"},
        {"rctl cert revoke user/kate", NULL, 0, "certificates of user \"kate\" revoked", NULL},
        {KATE "get pods", NULL, 1, "=", NULL},
        {"date +%s >revoked", NULL, 0, NULL, NULL},
        {"rctl delete csr kate && rctl apply -f kate.yaml", NULL, 0, "kate created", "="},
        {"rctl patch csr kate --subresource approval --type merge -p '{\"status\":{\"conditions\":[{\"type\":"
         "\"Approved\",\"status\":\"True\",\"lastUpdateTime\":\"2020-01-01T00:00:00Z\"}]}}'",
         NULL, 0, "kate patched", "="},
    };
    RUN(uses);
    habits_until(*state, "rctl get csr kate --no-headers | grep -q Approved,Failed");
    static const struct habit gone[] = {
        {"rctl describe csr kate", NULL, 0, "the certificates of user \"kate\" were revoked after it was approved",
         "="},
    };
    RUN(gone);
}

static void rctl_decides_as_well(void **state)
{
    static const struct habit rows[] = {
        {"rctl apply -f paul.yaml -f tim.yaml", NULL, 0, "paul created\ntim created", "="},
        {"rctl apply -f n1.yaml", NULL, 0, "n1 created", "signs nothing\nreeve-agent join"},
        {"rctl get csr paul | tr -s ' '", NULL, 0,
         "NAME AGE SIGNERNAME REQUESTOR REQUESTEDDURATION CONDITION\nadmin 10m Pending", "="},
        {"rctl apply -f crowd.yaml && rctl describe csr crowd | tr -s ' '", NULL, 0,
         "Common Name: <cannot be shown: look at spec.request>\nOrganization: <cannot be shown: look at spec.request>",
         "="},
        {"rctl certificate approve", NULL, 2, "=", "one or more requests must be specified"},
        {"rctl certificate approve nobody", NULL, 5, "=", "not found"},
        {"rctl certificate approve paul tim n1", NULL, 0,
         "certificatesigningrequest.certificates.k8s.io/paul approved\ntim approved\nn1 approved", "="},
        {"rctl certificate approve -f paul.yaml", NULL, 0, "paul approved", "="},
        {"rctl certificate deny paul", NULL, 1, "=", "Approved and Denied conditions are mutually exclusive"},
        {"rctl get csr tim --no-headers", NULL, 0, "Approved,Failed", "="},
        {"rctl describe csr tim", NULL, 0, "Failed: spec.usages: must have \"client auth\"", "="},
        {"rctl describe csr n1", NULL, 0, "Failed: there are no kubelets here", "="},
    };
    RUN(rows);
    habits_until(*state,
                 "rctl get csr paul -o jsonpath={.status.certificate} | base64 -d >paul.crt && [ -s paul.crt ]");
    static const struct habit more[] = {
        {"openssl x509 -in paul.crt -noout -checkend 500", NULL, 0, NULL, NULL},
        {"openssl x509 -in paul.crt -noout -checkend 700", NULL, 1, NULL, NULL},
        {"openssl x509 -in paul.crt -noout -text", NULL, 0, "2.25.1873204517:", "="},
        {"rctl delete csr tim && rctl apply -f tim.yaml && rctl certificate deny tim", NULL, 0, "tim denied", "="},
        {"rctl get csr tim --no-headers", NULL, 0, "Denied", "="},
        {"rctl certificate approve tim", NULL, 1, "=", "mutually exclusive"},
    };
    RUN(more);
}

static void the_example_is_walked(void **state)
{
    char *text = NULL;
    assert_int_equal(pki_read_file("examples/workloads/certificate.yaml", 64 << 10, &text, NULL, NULL), 0);
    habits_file(*state, "certificate.yaml", text);
    free(text);
    habits_until(*state, "[ ! -e revoked ] || [ $(date +%s) -gt $(cat revoked) ]"); /* kate was, in another second */
    static const struct habit rows[] = {
        {"rctl delete csr --all", NULL, 0, NULL, NULL},
        {"rctl apply -f certificate.yaml", NULL, 0, "kate created", "="},
        {"rctl describe csr kate | tr -s ' '", NULL, 0, "Requested Duration: 24h\n Organization: dev\n ops", "="},
        {"rctl certificate approve kate", NULL, 0, "kate approved", "="},
    };
    RUN(rows);
    habits_until(*state, "rctl get csr kate --no-headers | grep -q Approved,Issued");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_user_gets_a_certificate_with_kubectl),
        cmocka_unit_test(rctl_decides_as_well),
        cmocka_unit_test(the_example_is_walked),
    };
    return cmocka_run_group_tests(tests, set_up, habits_tear_down);
}
