// An informer of the library that people use from JavaScript: keeps a copy of the ConfigMaps with a label, goes on when
// the master goes away, and writes what it holds whenever that changes.
// usage: KUBECONFIG=FILE node informer.mjs NODE_MODULES NAMESPACE LABEL FILE
import { writeFileSync, renameSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [modules, namespace, label, file] = process.argv.slice(2);
const library = createRequire(modules + '/').resolve('@kubernetes/client-node');
const k8s = await import(pathToFileURL(library).href);
const config = new k8s.KubeConfig();
config.loadFromDefault();
const api = config.makeApiClient(k8s.CoreV1Api);
const informer = k8s.makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`,
    () => api.listNamespacedConfigMap({ namespace, labelSelector: label }), label);
const held = new Map();

function keep() {
    const lines = [...held].sort().map(([name, value]) => `${name}=${value}\n`).join('');
    writeFileSync(file + '.new', lines);
    renameSync(file + '.new', file);
}
for (const verb of ['add', 'update']) {
    informer.on(verb, (o) => { held.set(o.metadata.name, o.data?.v); keep(); });
}
informer.on('delete', (o) => { held.delete(o.metadata.name); keep(); });
informer.on('connect', () => console.log('connected'));
informer.on('error', (why) => {
    console.log('error', why?.message ?? why);
    setTimeout(begin, 200);
});
// The list itself may fail while no master leads.
function begin() {
    informer.start().catch((why) => { console.log('start', why?.message ?? why); setTimeout(begin, 200); });
}
begin();
