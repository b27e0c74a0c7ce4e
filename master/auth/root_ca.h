/* The cluster's CA in its state, for pods: ConfigMap kube-system/reeve-root-ca, whose ca.crt is what clients are told
 * to trust (rotate.h): one CA, or two while one is replaced. The leader keeps it so. Namespaces get copies
 * (controllers/cluster/root_ca.c). */
#ifndef MASTER_AUTH_ROOT_CA_H
#define MASTER_AUTH_ROOT_CA_H

struct master;
void root_ca_tick(struct master *m); /* chores */

#endif
