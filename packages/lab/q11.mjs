import { findGuest, findNewestQemu, LabPair } from './dist/index.js';
import { QmpClient } from 'qemu-qmp-client';
const t0=Date.now(); const say=(...a)=>console.log(((Date.now()-t0)/1000).toFixed(2),...a);
const pair = await LabPair.create({guest: await findGuest(), machine:{type:'q35'}, qemu: await findNewestQemu(), onEvent:(e)=>say(JSON.stringify(e).slice(0,300))});
try {
 await pair.bootPrimary(); await pair.startSecondary(); await pair.startPrimaryDaemon();
 const svm = await QmpClient.connect({target:{kind:'unix',path:pair.secondary.qmpPaths[0]}});
 const pvm = await QmpClient.connect({target:{kind:'unix',path:pair.primary.qmpPaths[0]}});
 svm.on(e=>say('SVM',e.event, JSON.stringify(e.data)));
 pvm.on(e=>say('PVM',e.event, JSON.stringify(e.data)));
 await new Promise(r=>setTimeout(r,1000));
 await svm.execute('migrate-set-capabilities',{capabilities:[{capability:'x-colo',state:false}]});
 await pair.protect(p=>say('stage',JSON.stringify(p))).catch(e=>say('ERR',e.message,'|',e.remedy));
 say(JSON.stringify(await svm.execute('query-status')), JSON.stringify(await svm.execute('query-colo-status')), JSON.stringify(await svm.execute('query-migrate')).slice(0,100));
 say(JSON.stringify(await pvm.execute('query-status')), JSON.stringify(await pvm.execute('query-migrate')).slice(0,100));
} finally { await pair.dispose(); process.exit(0)}
