/* The API: methods of masters and agents over msgpack-RPC, with their shapes. The words here are the contract between
 * master/, agent/ and client/.
 *
 * Params is always one map. Objects travel as documents with metadata.resourceVersion as text (object_write_wire).
 * Optional members are marked ?. Every failure is an error map (proto/rpc/rpc.h) whose reason is one of err_reason().
 * Every request takes ?timeoutMs (how long whoever asks waits) and ?as: {user, ?groups: [texts], ?uid, ?extra: {KEY:
 * [texts]}}: it is asked as somebody else (master/auth/impersonate.h).
 * Unknown members of params are refused. Roles say which user may call what (master/auth/access.h). "admins only": of
 * the roles that are always there cluster-admin alone has it; another one may name its path, /rpc/METHOD.
 *
 * ---- Any master, for clients (and agents within their rights) ----
 * hello          {version, ?name, ?instance, ?certFrom, ?certUntil, ?standing}  -> {version, cluster, id, leader,
 *                leaderAddress, role, term, ?masters} agents tell name, instance (master/nodes/nodes.c) and the life of
 *                their certificate (seconds), and hear all masters' addresses
 *                nodes and users also hear ?standing (pki.h: of what is signed now; who has another one renews) and
 *                ?refused (masters that count no more; the leader's word counts); agents tell the standing of theirs
 * get            {kind, ?namespace, name, ?part, ?stale} -> {object, revision}       part: the right to it counts
 * list           {kind, ?namespace, ?labelSelector, ?fieldSelector, ?limit, ?continue, ?stale}
 *                                                       -> {items, revision, ?continue, ?remaining}     remaining:
 *                objects behind the page, where there are no selectors
 * watch          {kind, ?namespace, ?labelSelector, ?fieldSelector, ?revision}  -> stream; without revision: first all
 *                that match as ADDED, then BOOKMARK. Payload, one per transaction: {revision, events: [{type:
 *                ADDED|MODIFIED|DELETED|BOOKMARK, object}]} Ends with Expired if the revision is too old: list again.
 * create         {object, ?id, ?dryRun, ?validate}      -> {object, revision}        validate: "strict" (default),
 *                "ignore"
 * update         {object, ?part, ?id, ?dryRun, ?validate} -> {object, revision}      part: "" , "status", "scale", ...;
 *                resourceVersion in the object = precondition
 * patch          {kind, ?namespace, name, type, patch, ?part, ?apiVersion, ?id, ?dryRun, ?revision, ?uid}
 *                                                       -> {object, revision, unchanged}
 *                type: "strategic", "merge", "json"; apiVersion: that the patch is written in, if not the stored one
 *                create, update, patch, apply, txn: ?warnings: [texts] beside the others, about fields that are kept
 *                and not carried out
 *                to another master that asks on somebody's behalf also ?notes: [{resource, namespace, name, key, text}]
 *                for the record of the request
 * apply          {objects: [..], ?id, ?dryRun, ?validate, ?serverSide, ?force, ?part} -> {results: [{object, result:
 *                created|configured|unchanged}], revision} three-way, all or nothing; serverSide: by who manages which
 *                field, what others manage only with force (Conflict); part: of objects that are there, as in update
 *                create, update, patch, apply, txn: ?fieldManager: who manages the fields that are written, of at most
 *                128 bytes; else "rctl"
 * delete         {kind, ?namespace, name, ?gracePeriodSeconds, ?propagationPolicy, ?uid, ?revision, ?id, ?dryRun}
 *                                                       -> {object, revision, gone: bool}
 * deletecollection {kind, ?namespace, ?labelSelector, ?fieldSelector, ...as delete} -> {count, revision}
 *                what there is when it begins, piece by piece, not all or nothing: if it fails on the way, asking again
 *                goes on with the others. count: of this request; of one whose id was done before, of its last piece
 * evict          {namespace, name, ?gracePeriodSeconds, ?propagationPolicy, ?uid, ?revision, ?id, ?dryRun}
 *                                                       -> {object, revision, gone: bool}
 *                a pod, deleted unless a disruption budget forbids it: TooManyRequests, with a cause DisruptionBudget
 *                and retryAfterMs
 * bind           {namespace, name, ?uid, node, ?id, ?dryRun} -> {object, revision, gone: bool}
 *                a pod is given its node, by who places pods beside the scheduler. Conflict: it has one, waits for
 *                gates or is being deleted
 * txn            {ops: [{op: create|update|delete|check, ?object, ?kind, ?namespace, ?name, ?part, ?revision, ?uid}],
 *                ?id, ?validate} -> {revision, results: [{object, gone, result: created|configured|unchanged|deleted}]}
 * metrics        {kind: Pod|Node, ?namespace, ?name, ?labelSelector, ?fieldSelector, ?limit, ?continue}
 *                -> {kind: PodMetricsList|NodeMetricsList, apiVersion, metadata: {?continue}, items: [{kind,
 *                apiVersion, metadata, timestamp, window, usage: {cpu, memory} or containers: [{name, usage}]}],
 *                missing, missingNames: [texts], periodMs}     what agents have measured last, as
 *                metrics.k8s.io/v1beta1 has it; missing: how many match, and no sample is known of them; the first of
 *                them by name
 * metrics.text   {} -> {text}      what /metrics of this master says over HTTPS, with the same right
 * access         {verb, ?group, ?resource, ?subresource, ?namespace, ?name, ?path, ?user, ?groups, ?local, ?stale}
 *                -> {allowed, user, reason, ?binding: {kind, ?namespace, name}, ?role: the same, ?subject, ?rule}
 *                either resource or path; user and groups: of another one; local: who asks needs the right to review
 *                others in this namespace alone; binding to rule: what allows it
 * rules          {?namespace, ?stale} -> {rules: [{verbs, ?apiGroups, ?resources, ?resourceNames, ?nonResourceURLs}],
 *                incomplete: bool}      all that who asks may do in a namespace, and in the whole cluster
 * account.token  {?namespace, name, ?audiences: [texts], ?expirationSeconds, ?boundKind: Pod|Secret|Node, ?boundName,
 *                ?boundUid} -> {token, expirationTimestamp, expirationSeconds, audiences}
 *                a token of a service account (master/auth/account_token.h): Kubernetes' TokenRequest, so who asks may
 *                create serviceaccounts/token of that name. Without audiences it is for the masters; an hour where
 *                nothing is said, 600 s at least, a year at most. Agents: of a pod that is bound to their node alone,
 *                bound to it by name and uid. Conflict: the uid is another one by now; asking once more does no harm
 * account.rotate {} -> {signsAfterSeconds}     admins only: another key signs tokens of service accounts (from then on,
 *                so that all masters know it); the former ones verify until their tokens are over
 * token.review   {token, ?audiences: [texts]} -> {authenticated, ?user: {username, ?uid, groups, ?extra}, ?audiences,
 *                ?error}     whose token it is, and which of these audiences it is for (none: the masters)
 * user           {csr, name, ?groups: [texts]}          -> {certificate, ca, notAfter}
 *                a certificate of a user; who asks may impersonate him and his groups
 * user.token     {name, ?groups: [texts], ?ttlSeconds} -> {token, ca, expires}
 *                a token of a user for HTTPS (master/auth/user_token.h), on the same terms
 * logs           {namespace, name, ?container, ?follow, ?previous, ?tailLines, ?sinceSeconds, ?sinceTime, ?timestamps,
 *                ?limitBytes, ?places, ?after}
 *                                                       -> stream; payload: bin. With places: {text: bin, after, ?gap};
 *                                                       `after` names
 *                the place behind text (the first one comes before there is any), from which the same request with
 *                {after} goes on, through any master, without a line lost or doubled; gap: lines in front of text are
 *                not there any more (rotated away)
 * exec           {namespace, name, ?container, command: [..], stdin, stdout, stderr, tty, ?rows, ?columns}
 *                -> stream; to the node: {stdin: bin} | {eof: true} | {rows, columns};
 *                from the node: {stdout: bin} | {stderr: bin} | {exit: code}, then end
 * attach         {namespace, name, ?container, stdin, stdout, stderr, tty, ?rows, ?columns}
 *                -> stream as exec's, of the container's first process and from now on; ends, without an exit code,
 *                when the container does
 * portforward    {namespace, name, port}                -> stream; payload: bin both ways; {eof: true} = half close.
 *                One stream a connection exec, attach and portforward also take {resume: {token: bin of 16, try: 1..,
 *                ?received: bytes}}: the stream is a channel (proto/rpc/channel.h) that may be opened again, through
 *                any master, with the same parameters, the next try and what has been received. ERR_EXPIRED: the node
 *                does not keep it (any more), or another pod has the name now; ERR_FORBIDDEN: another user began it.
 *                To the node goes {asker: the user}. Agents that know no channels ignore it
 * imageload      {node, ?name}                          -> stream; to the node: bin chunks, then end; from the node:
 *                {loaded: [refs]} then end
 * imagepull      {node, name}                           -> stream; from the node: {doneBytes, allBytes, state:
 *                waiting|pulling|unpacking} once a second, {pulled: {digest, sizeBytes}}, then end
 * images         {node}                                 -> {images: [{name, digest, sizeBytes}]}
 * imageremove    {node, name}                           -> {deleted: bool}   a name, or with sha256:... all names of an
 *                image; deleted: it had no other. ERR_CONFLICT: a container uses the image
 * admission      {?stale} -> {admission: [{name, kinds, operations: [create|update|delete], type: mutating|validating,
 *                everybody, on, ?setting, help}]}      admins only; what is done to objects on their way in, in order;
 *                everybody: controllers are held to it, too
 * cluster        {}                                     -> {cluster, version, id, leader, term, appliedIndex,
 *                commitIndex, revision, stateHash, canLose,
 *                   members: [{id, address, role: voter|standby|spare, leader, reachable, ?diskLow, ?appliedIndex}],
 *                   nodes: [{name, ready, heartbeatAgeMs}], stats: {..}, certificateWarnings: [texts]}
 *                stateHash: hexadecimal; equal on all masters that are at the same revision. canLose: voters, below 0
 *                without a majority. diskLow: of the master that answers and, if it leads, of all it has heard of;
 *                appliedIndex: of the one that answers
 * backup         {?stale}  -> stream; payload: bin, pieces of proto/backup/backup.h's records; a regular end = all of
 *                it      admins only
 * token          {role: master|node, ?ttlSeconds, ?uses, ?nodeName, ?replaces, ?evenReachable}  -> {token, address,
 *                agentAddress, expires, uses}     admins only uses: how many newcomers it lets in (1, at most
 *                API_TOKEN_USES_MAX); nodeName: the name that a node must have, or a pattern with * and ?; replaces: id
 *                of the master whose place the newcomer takes, also if that one still answers (evenReachable)
 * master.remove  {id, ?force}                           -> {id}          admins only; force: even if no other master
 *                can be lost then
 * master.transfer {?id, ?from}                          -> {leader}      admins only; id: to whom (else the best);
 *                from: who led when it was asked for, so that a repetition does not give it on
 * whoami         {} -> {user, groups: [texts], ?certificate: {serial, ca, issuedMs}, ?forwardedBy, ?uid,
 *                ?extra}     the caller as
 *                the leader sees it; forwardedBy: id of the master that was asked
 * cert.renew     {csr}                                  -> {certificate, notAfter}       nodes and users, for the
 *                identity of their connection; a node whose certificate has expired may call nothing else
 *                one that was made for less than its life (pki_facts.limit_s) is not renewed: ERR_FORBIDDEN
 * cert.status    {} -> {id, ca: LIFE, own: LIFE + {renewBy, ?failures, ?error}, members: [{id, address}], ?nodes:
 *                [{name, subject, ?LIFE + {renewBy}}]} LIFE: subject, notBefore, notAfter, state: ok|renewing
 *                soon|expiring|expired. own: of the master that answers; nodes: of the leader
 *                caKey: where the CA's key is: {atHand, clear, ?generation, ?threshold, ?error, ?parts: [{id, ?has}]}
 *                (master/auth/authority.h); parts: of the leader
 * cert.admin     {csr, name} -> {certificate, ca}        masters only: an administrator's certificate, for
 *                `reeve-master admin`
 *
 * cert.rotate    {?replaces, ?hold, ?finish} -> {ca, begun, ?rotation}     admins only: another CA for the cluster
 *                (master/auth/rotate.h); replaces: the fingerprint of the one that is meant, so that a repetition
 *                replaces no other
 * cert.rotation  {} -> {ca, begun: false, ?rotation: {phase: trust|sign|switch, since, next, waiting: [texts],
 *                waitingMore}}     also in cert.status
 *
 * cert.reseal    {?replaces, ?finish} -> {key, begun, ?resealing}         admins only: another key for Secrets on disk
 *                (master/auth/reseal.h); replaces: the id of the one that is meant, so that a repetition replaces no
 *                other
 * cert.resealing {} -> {key, begun: false, ?resealing: {phase: spread|use|clean|drop, since, waiting: [texts],
 *                waitingMore}}     also in cert.status
 *
 * ---- Joining, without a certificate, with a token ----
 * join           {token, role: node|master, name, csr, ?sans, ?address}
 *                                                       -> {certificate, ca, cluster, masters: [addresses], ?id,
 *                                                       ?sealKey, ?sealKeys, ?replaces}
 *                masters have an address and are given id, sealKey, and sealKeys: all of them, the first one
 *                seals; replaces: whose place this one takes
 *
 * ---- Masters, over a client's connection ----
 * rejoin         {address, csr, ?agentAddress, ?sans, ?reason}   -> as join: a master that lost its data comes back
 *                under a new id, which it asks for with its old certificate (master/rescue/repair.h)
 *
 * ---- Agents to each master ----
 * node.heartbeat {name}  (a notification; soft state)
 *
 * ---- Agents to the leader (others answer NotLeader with leaderAddress in the error's field) ----
 * node.register  {node: object (Node), ?instance}       -> {object, heartbeatMs, routeChanges, services,
 *                policies}
 *                AlreadyExists: another living agent has the name
 * node.pods      {name} -> stream (watch of pods with spec.nodeName = name, as `watch`)
 * node.refs      {name, ?revision} -> stream: ConfigMaps, Secrets and claims that pods of the node name, the volumes of
 *                these claims and the local ones of the node, as `watch` (DELETED when no longer named or gone)
 * node.routes    {name} -> stream: {routes: [{name, podCIDR, internalIP, ?zone}]} whole list at every
 *                change
 * node.services  {name} -> stream: {whole, changed: [Service and EndpointSlice objects], gone: [{kind, namespace,
 *                name}], complete, ?revision} of the whole cluster (master/nodes/serving.h); there is one if
 * `services` of
 *                node.register's answer is true
 * node.policies  {name} -> stream: the network policies that select the node's pods, and who their peers are
 *                (master/nodes/policing.h); there is one if `policies` of node.register's answer is true
 * node.status    {name, pods: [{namespace, name, uid, status}], ?node: status of the Node, ?gone: [{namespace, name,
 *                uid}]}
 *                -> {revision, results: [nil | error]}     gone: finished deletions (grace 0)
 * node.events    {name, events: [Event objects]}        -> {}      (aggregated by the master: same object, reason,
 *                message count up)
 * node.usage     {name, at, window, cpu, memory, pods: [[uid, [[container, cpu, memory], ..]], ..], ?services} -> {}
 *                soft state (controllers/usage.h); every usageMs of node.register's answer, if there is such a
 *                member; services if `usageServices` is true there
 * node.volumes   {name, volumes: [{name, uid}]}         -> {}      the directories of these PersistentVolumes are
 *                removed; those that are not the node's, or in use, are passed over (master/nodes/volumes.c)
 *
 * ---- Masters to an agent, over the session that the agent opened to each of them ----
 * node.lead      {term}  (a notification) this master leads now: register here
 * node.refresh   {}      (a notification) register again: the node had been given up
 * pod.logs, pod.exec, pod.attach, pod.portforward, image.load, image.pull,
 * image.list, image.remove: as above, without `node`. pod.portforward with `podIP`: true leads to the pod's own address
 * instead of its loopback.
 *
 * ---- Between masters (ALPN reeve-raft/1) ----
 * raft, raft.part, raft.term, removed: raft-store/raft/transport.h
 * forward        {method, params, identity: {role, name, ?serial, ?ca, ?issuedMs, ?proof, ?groups: [texts]}}
 *                                                       -> the method's result   (master/auth/principal.h)
 * read.index     {}                                     -> {index}
 * ca.state       {}                                     -> {next, presents, kept, users: [{name, ?oldMsAgo,
 *                ?newMsAgo}]}   how far a rotation is there
 * seal.state     {}                                     -> {revision, done, keys: [ids]}   has the caller's record of
 *                that revision been carried out there?
 * seal.key       {id}                                   -> {key: bin}    a key that seals Secrets, if the record names
 *                it
 * ca.has, ca.get, ca.put, ca.sign: master/auth/authority.h
 * nodes.heard    {}                                     -> {heard: {node: milliseconds since it was heard}}
 * announce       {advertise, agentAddress}              -> {..}          where the caller is reached by masters and
 *                clients, and by agents
 */
#ifndef PROTO_RPC_API_H
#define PROTO_RPC_API_H

#define API_PORT_DEFAULT       7400
#define API_METRICS_LIMIT      500 /* objects of a page */
#define API_LIST_LIMIT_DEFAULT 500
#define API_LIST_LIMIT_MAX     100000
#define API_LIST_BYTES_MAX     (4u << 20) /* a page ends here even below its limit */
/* Of a request of a user or a node, keys too, at all depths: one with more is refused at its head, and its
 * connection is closed. */
#define API_ELEMENTS_MAX          (128u << 10)
#define API_HEARTBEAT_MS_DEFAULT  10000
#define API_NODE_GRACE_MS_DEFAULT 40000
#define API_TOKEN_USES_MAX        20000 /* newcomers that one token may let in */
#define REEVE_VERSION             "0.1.0"

#endif
