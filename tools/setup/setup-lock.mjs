// Lets one set-up work at a time. A set-up that was killed leaves its lock behind: the lock names the processes
// that work under it, and falls to the next one as soon as none of them lives.
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

/** A process's id with the moment it started, as ids are used again. Only the id where /proc is missing. */
const describeProcess = (pid) => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command's name stands in parentheses and may contain anything: proc(5) counts from its end.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state, startTime] = [fields[0], fields[19]];
    return state === 'Z' ? 'gone, but nobody has asked for its status' : `${pid} ${startTime}`;
  } catch {
    return `${pid}`;
  }
};

const isAlive = (owner) => {
  const pid = Number(owner.split(' ')[0]);
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (error.code !== 'EPERM') return false;
  }
  return describeProcess(pid) === owner;
};

const readOwners = (file) => {
  try {
    return readFileSync(file, 'utf8').split('\n').filter(Boolean);
  } catch {
    return [];
  }
};

const tryTake = (file, mine) => {
  try {
    linkSync(mine, file); // Atomic, and the lock has its content from the first moment.
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    return false;
  }
};

const removeIfDead = (file) => {
  const owners = readOwners(file);
  if (owners.some(isAlive)) return;
  const aside = `${file}.stale-${process.pid}`;
  try {
    renameSync(file, aside);
    // Someone may have taken the lock since it was read: then it goes back.
    if (readOwners(aside).some(isAlive)) tryTake(file, aside);
    rmSync(aside, { force: true });
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
};

/**
 * Runs `work` while no other set-up works on the same tree. `work` gets a function that names a child process
 * which must be gone too before anybody else may start.
 */
export const withSetupLock = async (file, work) => {
  const mine = `${file}.${process.pid}`;
  const owners = [describeProcess(process.pid)];
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(mine, owners.join('\n'));
  try {
    for (let round = 0; !tryTake(file, mine); round++) {
      removeIfDead(file);
      if (round === 1) process.stderr.write('setup: waiting for another set-up of this tree …\n');
      if (round > 0) await pause(200);
    }
  } finally {
    rmSync(mine, { force: true });
  }
  const release = () => rmSync(file, { force: true });
  process.on('exit', release);
  try {
    return await work((pid) => {
      owners.push(describeProcess(pid));
      writeFileSync(mine, owners.join('\n'));
      renameSync(mine, file);
    });
  } finally {
    process.off('exit', release);
    release();
  }
};
