using System.Reflection;
class Plugins { void Load(string f) { Assembly.Load(System.IO.File.ReadAllBytes(f)); var p = System.Diagnostics.Process.Start("notepad.exe"); } }
