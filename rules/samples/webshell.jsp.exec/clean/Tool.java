import java.io.*;
public class Tool {
  void run(String cmd) throws IOException { Runtime.getRuntime().exec(new String[]{"/bin/sh", "-c", cmd}); }
}
