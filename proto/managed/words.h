/* Names of fields and of managers that are so frequent that the stored form (stored.c) has one byte for each. Their
 * order is for ever: a word is added at the end, at most 126 in all. */
#ifndef PROTO_MANAGED_WORDS_H
#define PROTO_MANAGED_WORDS_H

/* clang-format off */
#define MANAGED_WORDS(X) \
    X("metadata") X("labels") X("annotations") X("spec") X("status") X("data") X("template") X("containers") \
    X("name") X("image") X("imagePullPolicy") X("resources") X("limits") X("requests") X("cpu") X("memory") \
    X("ports") X("containerPort") X("protocol") X("env") X("value") X("valueFrom") X("replicas") X("selector") \
    X("strategy") X("rollingUpdate") X("maxSurge") X("maxUnavailable") X("type") X("progressDeadlineSeconds") \
    X("revisionHistoryLimit") X("dnsPolicy") X("restartPolicy") X("schedulerName") X("securityContext") \
    X("terminationGracePeriodSeconds") X("terminationMessagePath") X("terminationMessagePolicy") X("volumes") \
    X("volumeMounts") X("mountPath") X("readOnly") X("command") X("args") X("livenessProbe") X("readinessProbe") \
    X("startupProbe") X("httpGet") X("path") X("port") X("scheme") X("failureThreshold") X("initialDelaySeconds") \
    X("periodSeconds") X("successThreshold") X("timeoutSeconds") X("initContainers") X("serviceAccountName") \
    X("serviceAccount") X("nodeName") X("nodeSelector") X("affinity") X("tolerations") X("configMap") X("secret") \
    X("emptyDir") X("hostPath") X("persistentVolumeClaim") X("claimName") X("defaultMode") X("items") X("key") \
    X("configMapKeyRef") X("secretKeyRef") X("fieldRef") X("resourceFieldRef") X("targetPort") X("nodePort") \
    X("sessionAffinity") X("internalTrafficPolicy") X("externalTrafficPolicy") X("ipFamilies") X("ipFamilyPolicy") \
    X("clusterIP") X("clusterIPs") X("conditions") X("lastTransitionTime") X("lastUpdateTime") X("message") \
    X("reason") X("observedGeneration") X("app") X("app.kubernetes.io/name") X("app.kubernetes.io/instance") \
    X("app.kubernetes.io/version") X("app.kubernetes.io/managed-by") X("app.kubernetes.io/component") \
    X("helm.sh/chart") X("kubectl.kubernetes.io/last-applied-configuration") X("finalizers") X("ownerReferences") \
    X("generateName") X("rules") X("subjects") X("roleRef") X("accessModes") X("storageClassName") X("storage") \
    X("volumeMode") X("kubectl") X("kubectl-client-side-apply") X("kubectl-create") X("kubectl-edit") \
    X("kubectl-patch") X("rctl") X("helm") X("scale") X("hard") X("jobTemplate") X("schedule") X("stringData") \
    X("immutable")
/* clang-format on */

#endif
