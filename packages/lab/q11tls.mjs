import { findGuest, findNewestQemu, LabPair } from './dist/index.js';
import { QmpClient } from 'qemu-qmp-client';
import { mkdtempSync } from 'node:fs';
import { connect } from 'node:net';
import { execFileSync } from 'node:child_process';
const certs='/tmp/q11certs'; 
execFileSync('rm',['-rf',certs]); execFileSync('mkdir',[certs]);
const { readFileSync } = await import('node:fs');
const text=readFileSync('/tmp/wt/qemu11/docs/how-to/tls.md','utf8'); const ch=text.slice(text.indexOf('## Make the certificates')).split('\n## ')[0];
const script=[...ch.matchAll(/^```sh\n(.*?)^```$/gms)].map(m=>m[1]).join('\n').replace('host-b 192.0.2.2','host-b 127.0.0.1');
execFileSync('sh',['-e','-c',script],{cwd:certs,stdio:'ignore'});
const t0=Date.now(); const say=(...a)=>console.log(((Date.now()-t0)/1000).toFixed(2),...a);
const [n,p,m]=[21809,21810,21811]; let dir='';
const newest = process.argv[2]==='new';
const clients = process.argv[3] ?? 'host-a';
const pair = await LabPair.create({guest: await findGuest(), ...(newest?{qemu: await findNewestQemu(), machine:{type:'q35'}}:{}), periodMs:500, onEvent:(e)=>['commit','checkpoint','write-back'].includes(e.kind)||say(JSON.stringify(e).slice(0,260)),
 secondary:{nbd:`tls:127.0.0.1:${n}`,peer:`tls:127.0.0.1:${p}`,migrate:`tls:127.0.0.1:${m}`, get svm(){return `unix:${dir}/replica0.nbd`}},
 config:(role)=>({tls:{dir:`${certs}/${role==='primary'?'host-a':'host-b'}`,clients:[clients]},...(role==='primary'&&{primary:{nbd:`tls:127.0.0.1:${n}`,peer:`tls:127.0.0.1:${p}`,migrate:`tls:127.0.0.1:${m}`,checkpointPeriodMs:500}})})});
dir=pair.dir;
try {
 await pair.bootPrimary(); await pair.startSecondary(); await pair.startPrimaryDaemon();
 await new Promise(r=>setTimeout(r,1500));
 for (const junk of ['GET / HTTP/1.0\r\n\r\n','']) { await new Promise((res)=>{ const s=connect(m,'127.0.0.1',()=>{ s.write(junk); setTimeout(()=>{s.destroy(); res()},300)}); s.on('error',(e)=>{say('scan',e.message);res()}) }); say('scanned; secondary runs', pair.secondary.running); }
 await pair.protect(); await pair.waitForCommits(5); say('5 commits');
 await pair.primary.kill('SIGKILL'); await pair.failOver();
 const {digests,isClean}=await pair.compare(); say('clean',isClean,digests.every(d=>d.equal));
 const svm = await QmpClient.connect({target:{kind:'unix',path:pair.secondary.qmpPaths[0]}});
 const q=await svm.execute('query-migrate-parameters'); say(JSON.stringify([q['tls-creds'],q['tls-authz']]));
 say((await svm.execute('query-migrate-capabilities')).filter(c=>c.state).map(c=>c.capability));
} catch(e) { say('ERR',e.message,'|',e.remedy) } finally { say('secondary runs', pair.secondary.running, pair.secondary.stderrTail); await pair.dispose(); process.exit(0)}
